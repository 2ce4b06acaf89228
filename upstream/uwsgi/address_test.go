package uwsgi_test

import (
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
)

func TestParseAddress(t *testing.T) {
	long := "/" + strings.Repeat("a", 106)
	tests := []struct{ in, network, addr, text, host string }{
		{"unix:/run/app.sock", "unix", "/run/app.sock", "", ""},
		{"unix:/run/a:b", "unix", "/run/a:b", "", ""},
		{"unix:@app", "unix", "@app\x00", "", ""},
		{"unix:" + long, "unix", long, "", ""},
		{"10.0.0.7:3031", "tcp", "10.0.0.7:3031", "", "10.0.0.7"},
		{"[::1]:3031", "tcp", "[::1]:3031", "", "::1"},
		{"[0:0::1]:03031", "tcp", "[::1]:3031", "[::1]:3031", "::1"},
		{"[fe80::1%eth0]:1", "tcp", "[fe80::1%eth0]:1", "", "fe80::1%eth0"},
		{"[::ffff:10.0.0.7]:80", "tcp", "10.0.0.7:80", "10.0.0.7:80", "10.0.0.7"},
		{"App.Internal:65535", "tcp", "app.internal:65535", "app.internal:65535", "app.internal"},
		{"shop_web-1:8000", "tcp", "shop_web-1:8000", "", "shop_web-1"},
		{"localhost:1", "tcp", "localhost:1", "", "localhost"},
	}
	for _, test := range tests {
		got, err := uwsgi.ParseAddress(test.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if test.text == "" {
			test.text = test.in
		}
		if got != (uwsgi.Address{Network: test.network, Addr: test.addr}) || got.String() != test.text || got.Host() != test.host {
			t.Errorf("%s: got %#v, written %q, host %q", test.in, got, got, got.Host())
		}
	}
}

func TestParseAddressSaysHowToWriteIt(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "is empty; write unix:/run/app.sock or 10.0.0.7:3031",
		"10.0.0.7":                            "has no port; write 10.0.0.7:3031",
		"::1":                                 "has no port; write [::1]:3031",
		"app.internal":                        "has no port; write app.internal:3031",
		"3031":                                "write 127.0.0.1:3031",
		":3031":                               "has no host; write 127.0.0.1:3031",
		"::1:3031x":                           "brackets",
		"[::1]":                               "write 10.0.0.7:3031, [::1]:3031",
		"[app]:3031":                          "not an IPv6 address",
		"10.0.0.300:3031":                     "not an IPv4 address",
		"app:http":                            "port \"http\" is not a number from 1 to 65535",
		"app:0":                               "from 1 to 65535",
		"app:+80":                             "from 1 to 65535",
		"app:65536":                           "from 1 to 65535",
		"a..b:1":                              "not a host name",
		"a,b:1":                               "not a host name",
		strings.Repeat("a", 64) + ":1":        "not a host name",
		strings.Repeat("a.", 127) + ":1":      "DNS takes 253",
		"uwsgi://10.0.0.7:3031":               "is not a URL; write 10.0.0.7:3031",
		"http://10.0.0.7:8000/x":              "give the address of a uwsgi socket",
		"suwsgi://app:3031":                   "write app:3031, and protocol: suwsgi on the pool",
		"unix:///run/app.sock":                "write unix:/run/app.sock",
		"fastcgi://10.0.0.7:9000":             "fastcgi:// is not known here",
		"/run/app.sock":                       "write unix:/run/app.sock",
		"@app":                                "write unix:@app",
		"app.sock":                            "looks like a socket's path",
		"run/app":                             "looks like a socket's path",
		"unix:run/app.sock":                   "write the absolute path",
		"unix:":                               "names no socket",
		"unix:@":                              "write unix:@name",
		"unix:/run/":                          "names a directory",
		"unix:/" + strings.Repeat("a", 107):   "the path has 108 bytes and the system takes 107",
		"unix:@" + strings.Repeat("a", 107):   "the name has 107 bytes and the system takes 106",
		"unix:/run/a b":                       "take it out",
		"unix:/run/a\x00":                     "take it out",
		"10.0.0.7:3031\n":                     "take it out",
		"unix:/run/app.sock unix:/run/b.sock": "take it out",
	} {
		got, err := uwsgi.ParseAddress(in)
		if err == nil {
			t.Errorf("%q was taken for %v", in, got)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"unix:/run/app.sock", "unix:@a", "10.0.0.7:3031", "[::1]:1", "app.internal:80", "http://x", "[fe80::1%e]:9", "a.:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := uwsgi.ParseAddress(s)
		if err != nil {
			if a != (uwsgi.Address{}) {
				t.Errorf("%q: both %v and an error", s, a)
			}
			return
		}
		again, err := uwsgi.ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q: written as %q, read back as %v, %v", s, a, again, err)
		}
		if a.Network == "unix" && len(a.Addr) > 108 {
			t.Errorf("%q: %d bytes do not fit a socket's address", s, len(a.Addr))
		}
	})
}
