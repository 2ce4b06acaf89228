package main

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestUpURL(t *testing.T) {
	for _, c := range []struct {
		http, https, hosts []string
		want               string
		local              bool
	}{
		{[]string{"127.0.0.1:8080", "[::1]:8080"}, []string{"127.0.0.1:8443", "[::1]:8443"}, nil, "https://localhost:8443/", true},
		{[]string{"[::1]:8080"}, nil, nil, "http://localhost:8080/", true},
		{[]string{":80"}, []string{":443"}, []string{"*.example.com", "shop.example.com"}, "https://shop.example.com/", false},
		{[]string{":80"}, nil, nil, "http://localhost/", false},
		{nil, []string{"0.0.0.0:443"}, nil, "https://localhost/", false},
		{nil, []string{"10.0.0.7:8443"}, []string{"*.example.com"}, "https://10.0.0.7:8443/", false},
		{[]string{"[fd00::7]:8080"}, nil, nil, "http://[fd00::7]:8080/", false},
		{[]string{"localhost:8080"}, nil, nil, "http://localhost:8080/", true},
	} {
		l := upListen{c.http, c.https}
		if got := l.url(c.hosts); got != c.want {
			t.Errorf("%v is at %s, want %s", l, got, c.want)
		}
		if got := l.local(); got != c.local {
			t.Errorf("%v: local %t, want %t", l, got, c.local)
		}
	}
}

func TestUpTakesTheNextFreePort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	if taken > 65000 {
		t.Skip("no room for ports behind that one")
	}
	got := freePort(taken, []string{"127.0.0.1"}, true)
	if got <= taken || got >= taken+upPortsOff {
		t.Errorf("port %d is taken, and the next is %d", taken, got)
	}
	u, err := net.ListenPacket("udp", join([]string{"127.0.0.1"}, got)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if next := freePort(got, []string{"127.0.0.1"}, true); next == got {
		t.Errorf("UDP %d is taken, and it was chosen", got)
	}
	if same := freePort(got, []string{"127.0.0.1"}, false); same != got {
		t.Errorf("TCP %d is free, and %d was chosen", got, same)
	}
}

func TestUpAddresses(t *testing.T) {
	f := &upFlags{tls: "none"}
	l, _, err := f.listen()
	if err != nil || len(l.https) > 0 || len(l.http) == 0 || !l.local() {
		t.Errorf("without TLS: %v, %v", l, err)
	}
	f = &upFlags{tls: "auto"}
	l, _, err = f.listen()
	if err != nil || len(l.https) == 0 || len(l.http) != len(l.https) || !l.local() {
		t.Errorf("by default: %v, %v", l, err)
	}
	if f.issuer(l) != "internal" {
		t.Errorf("the issuer is %s", f.issuer(l))
	}
	f = &upFlags{tls: "auto", http: []string{":" + strconv.Itoa(upHTTP)}, host: []string{"shop.example.com"}}
	l, notes, err := f.listen()
	if err != nil || !slices.Equal(l.http, f.http) || len(l.https)+len(notes) > 0 || l.local() || f.issuer(l) != "auto" {
		t.Errorf("as said: %v, %v, %v, %s", l, notes, err, f.issuer(l))
	}
}

func TestServersThatSpeakHTTP(t *testing.T) {
	for _, c := range []struct {
		command []string
		want    bool
	}{
		{[]string{"uvicorn", "a:b"}, true},
		{[]string{"/srv/.venv/bin/hypercorn"}, true},
		{[]string{"/usr/bin/python3.11", "-m", "uvicorn", "a:b"}, true},
		{[]string{"python3", "uvicorn.py"}, false},
		{[]string{"uwsgi"}, false},
		{[]string{"gunicorn", "a"}, false},
	} {
		if got := speaksHTTP(c.command); got != c.want {
			t.Errorf("%q speaks HTTP: %t, want %t", c.command, got, c.want)
		}
	}
}

func TestUpArgumentsThatAreNoApps(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"manage.py", "runserver"}, "headgate up manage.py;"},
		{[]string{"flask", "run"}, "headgate up -- flask run"},
		{[]string{"gunicorn"}, "headgate up -- gunicorn"},
	} {
		cmd := newUp()
		cmd.SetArgs(c.args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		var hint hintError
		if err := cmd.Execute(); !errors.As(err, &hint) || !strings.Contains(hint.hint, c.want) {
			t.Errorf("%q: %v %q, want %q", c.args, err, hint.hint, c.want)
		}
	}
}
