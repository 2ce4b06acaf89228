package origin_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/origin"
)

func TestNobodyThere(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	datagrams := filepath.Join(dir, "dgram.sock")
	pc, err := net.ListenPacket("unixgram", datagrams)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	for _, row := range []struct {
		network, addr string
		away          bool
		words         string
	}{
		{"unix", filepath.Join(dir, "none.sock"), true, "no socket at " + dir},
		{"unix", filepath.Join(dead, "x"), true, "no socket at"},
		{"unix", dead, true, "nobody listens at"},
		{"unix", "\x00headgate-nobody", true, "nobody listens at @headgate-nobody"},
		{"unix", datagrams, false, "not a stream socket"},
		{"unix", "/" + strings.Repeat("x", 200), false, "at most 107 bytes"},
		{"tcp", free.Addr().String(), true, "connection refused"},
		{"tcp", "no-such-host.invalid:80", true, "cannot be looked up"},
	} {
		each(t, func(t *testing.T, o origin.Options) {
			tr, err := origin.NewTransport(row.network, row.addr, o)
			if err != nil {
				t.Fatal(err)
			}
			e := fails(t, tr, get("/"))
			wants(t, e, origin.KindUnavailable, true, row.words)
			if e.Away() != row.away || e.Full() || e.Stage != origin.StageDial {
				t.Errorf("%v: away %v, full %v", e, e.Away(), e.Full())
			}
			r := asError(t, tr.Reach(t.Context()))
			if r.Cause != e.Cause || r.Away() != e.Away() {
				t.Errorf("Reach: %v, Do: %v", r, e)
			}
		})
	}
}

func TestPermissionDenied(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may everything")
	}
	l := listen(t, "unix")
	os.Chmod(l.Addr().String(), 0)
	if e := fails(t, transport(t, l, origin.Options{}), get("/")); !e.Away() {
		t.Errorf("%v: not away", e)
	}
}

func TestBacklogFull(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "f.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: addr}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	tr, err := origin.NewTransport("unix", addr, origin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := fails(t, tr, get("/"))
	wants(t, e, origin.KindUnavailable, true, "listen backlog full")
	if !e.Full() || e.Away() {
		t.Errorf("full %v, away %v", e.Full(), e.Away())
	}
}

func TestAddresses(t *testing.T) {
	for _, row := range [][2]string{{"udp", "127.0.0.1:1"}, {"tcp", "127.0.0.1"}, {"", ""}} {
		if _, err := origin.NewTransport(row[0], row[1], origin.Options{}); err == nil {
			t.Errorf("%v is taken for an address", row)
		}
	}
}

func TestAbstractSocket(t *testing.T) {
	name := fmt.Sprintf("headgate-origin-%d", os.Getpid())
	l, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hi") })}
	go s.Serve(l)
	defer s.Close()
	tr, err := origin.NewTransport("unix", "\x00"+name, origin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.CloseIdle()
	if _, body := read(t, tr, get("/")); body != "hi" {
		t.Errorf("body %q", body)
	}
}

func TestCheck(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		gone := make(chan struct{}, 1)
		tr, _ := server(t, "tcp", o, func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "shop.example.com" || r.UserAgent() != "headgate-check" || r.Header.Get("X-Headgate-Check") != "1" {
				t.Errorf("host %q, header %v", r.Host, r.Header)
			}
			switch r.URL.Path {
			case "/bad":
				w.WriteHeader(503)
			case "/endless":
				for r.Context().Err() == nil {
					w.Write(make([]byte, 4096))
				}
				gone <- struct{}{}
			case "/silent":
				<-r.Context().Done()
			}
		})
		for path, want := range map[string]int{"/healthz": 200, "/bad": 503, "/endless": 200} {
			if status, err := tr.Check(t.Context(), "GET", "shop.example.com", path); status != want || err != nil {
				t.Errorf("%s = %d, %v; want %d", path, status, err, want)
			}
		}
		<-gone
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if status, err := tr.Check(ctx, "GET", "shop.example.com", "/silent"); status != 0 || asError(t, err).Kind != origin.KindCanceled {
			t.Errorf("%d, %v", status, err)
		}
		if err := tr.Reach(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
