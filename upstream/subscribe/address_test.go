package subscribe_test

import (
	"strings"
	"testing"

	"headgate/upstream/subscribe"
	"headgate/upstream/uwsgi"
)

func TestComplete(t *testing.T) {
	far := subscribe.FromIP("10.0.0.7")
	for _, row := range []struct{ address, want string }{
		{"10.0.0.9:3031", "10.0.0.9:3031"},
		{":3031", "10.0.0.7:3031"},
		{"0.0.0.0:3031", "10.0.0.7:3031"},
		{"[::]:3031", "10.0.0.7:3031"},
		{"[::ffff:10.0.0.9]:1", "10.0.0.9:1"},
		{"[2001:DB8::1]:65535", "[2001:db8::1]:65535"},
		{"/run/app.sock", "unix:/run/app.sock"},
		{"/run//apps/./app.sock", "unix:/run/apps/app.sock"},
		{"/run/..a/b..", "unix:/run/..a/b.."},

		{"@app", "abstract"},
		{"app.sock", "relative"},
		{"a/b:1", "relative"},
		{"./a.sock", "relative"},
		{"/run/apps/../x.sock", ".. in it"},
		{"/..", ".. in it"},
		{"/run/apps/", "is a directory"},
		{"/", "is a directory"},
		{"/" + strings.Repeat("x", 107), "more than 107 bytes"},
		{"app:3031", "no IP address"},
		{"localhost:3031", "no IP address"},
		{"127.1:3031", "no IP address"},
		{"::1:3031", "no IP address"},
		{"[10.0.0.7]:1", "no IP address"},
		{"[fe80::1%eth0]:1", "no IP address"},
		{"[::1:1", "no IP address"},
		{"10.0.0.7:0", "no port"},
		{"10.0.0.7:65536", "no port"},
		{"10.0.0.7:+1", "no port"},
		{"10.0.0.7:", "no port"},
		{"10.0.0.7:01", "no port"},
		{"224.0.0.1:1", "not of one machine"},
		{"[ff02::1]:1", "not of one machine"},
		{"255.255.255.255:1", "not of one machine"},
		{"10.0.0.7:1 ", "control character"},
		{"/run/a\x00.sock", "control character"},
		{"unix:/run/app.sock", "no port"},
	} {
		got, err := subscribe.Complete(row.address, far)
		if got != row.want && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%q is %q, %v, want %q", row.address, got, err, row.want)
		}
	}
	for _, address := range []string{":3031", "0.0.0.0:3031", "[::]:3031"} {
		if got, err := subscribe.Complete(address, subscribe.FromUser(0, 1)); err == nil {
			t.Errorf("%q over a unix socket is %q", address, got)
		}
	}
	if got, err := subscribe.Complete(":1", subscribe.FromIP("::1")); got != "[::1]:1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzComplete(f *testing.F) {
	for _, s := range []string{":1", "0.0.0.0:1", "[::]:65535", "10.0.0.7:1", "/run/app.sock", "/a//b/./c", "@x", "[::ffff:1.2.3.4]:5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		for _, from := range []subscribe.Sender{subscribe.FromIP("10.0.0.7"), subscribe.FromIP("2001:db8::1"), subscribe.FromUser(7, 1)} {
			got, err := subscribe.Complete(address, from)
			if err != nil {
				continue
			}
			if a, err := uwsgi.ParseAddress(got); err != nil || a.String() != got {
				t.Errorf("%q is %q, which is an address %v, %v", address, got, a, err)
			}
			raw := strings.TrimPrefix(got, "unix:")
			if again, err := subscribe.Complete(raw, from); again != got {
				t.Errorf("%q is %q, which is %q, %v", address, got, again, err)
			}
		}
	})
}
