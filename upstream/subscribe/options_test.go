package subscribe_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"headgate/upstream/subscribe"
)

func TestOptionsValidate(t *testing.T) {
	fine := []subscribe.Options{
		{},
		{Listen: []string{"udp:127.0.0.1:2626", "udp::2627", "udp:[::1]:2626", "unix:/run/headgate/subscribe.sock"}},
		{Listen: []string{"udp:127.0.0.1:2626"}, Expire: time.Second, MaxKeys: 1, MaxNodes: 1, Sign: subscribe.Sign{Keys: "/k", Digest: "SHA512", Window: time.Second}},
		{Listen: []string{"udp:127.0.0.1:2626"}, Allow: []subscribe.Rule{{
			From: []string{"10.0.0.0/8", "::1", "10.0.0.7"}, Users: []string{"www-data", "1000"},
			Keys:      []string{"example.com", "*.example.com", ".example.com", ".test"},
			Addresses: []string{"10.0.0.0/8", "10.0.0.7", "10.0.0.7:3031", "[::1]:1", "/run/apps/", "/"},
			Modifiers: []int{0, 5, 9}, Unsigned: true,
		}}},
	}
	for _, o := range fine {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		if err := o.WithDefaults().Validate(); err != nil {
			t.Errorf("with defaults %+v: %v", o, err)
		}
	}
	bad := subscribe.Options{
		Listen: []string{"127.0.0.1:2626", "udp:localhost:2626", "udp:127.0.0.1", "unix:run/x", "unix:/" + strings.Repeat("x", 107), "udp::1", "udp:[::]:1"},
		Allow: []subscribe.Rule{{}, {
			From: []string{"10.0.0.7/8", "ten"}, Users: []string{"", "a b"}, Keys: []string{"a..b", "example.com:80", "*", "a.*.b", ""},
			Addresses: []string{"app:1", "/run/../x/", "/run/apps", "10.0.0.7:0", "10.0.0.1/8"}, Modifiers: []int{17, -1, 256, 123},
		}},
		Expire: time.Millisecond, MaxKeys: -1, MaxNodes: 1e9,
		Sign: subscribe.Sign{Digest: "md5", Window: time.Millisecond},
	}
	lines := strings.Split(bad.Validate().Error(), "\n")
	if want := 6 + 2 + 2 + 5 + 5 + 4 + 3 + 3; len(lines) != want {
		t.Errorf("got %d mistakes, want %d:\n%s", len(lines), want, strings.Join(lines, "\n"))
	}
	form := regexp.MustCompile(`^[a-z_.\[\]0-9]+: .+: (write|give|list|take|put|use|set|remove|leave|name|choose|keep|send) `)
	for _, l := range lines {
		if !form.MatchString(l) {
			t.Errorf("%q is not key: fact: cure", l)
		}
	}
	if err := (subscribe.Options{Expire: time.Minute}).Validate(); err == nil {
		t.Error("nobody can announce anything, and nobody says so")
	}
}

func TestOptionsWithDefaults(t *testing.T) {
	o := subscribe.Options{Listen: []string{"udp:127.0.0.1:2626"}, Sign: subscribe.Sign{Keys: "/k"}}.WithDefaults()
	if o.Expire != 30*time.Second || o.MaxKeys != 10000 || o.MaxNodes != 1000 || o.Sign.Digest != "sha256" || o.Sign.Window != time.Minute {
		t.Errorf("got %+v", o)
	}
	if o := (subscribe.Options{}).WithDefaults(); o.Expire != 0 || o.MaxKeys != 0 {
		t.Errorf("got %+v, want that it stays off", o)
	}
}
