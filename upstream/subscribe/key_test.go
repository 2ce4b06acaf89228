package subscribe_test

import (
	"strings"
	"testing"

	"headgate/routing"
	"headgate/upstream/subscribe"
)

func TestHostKey(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a" // 253
	for key, want := range map[string]string{
		"example.com": "example.com", "Example.COM:8000": "example.com", "example.com.": "example.com", "a_b-c.x": "a_b-c.x",
		".example.com": ".example.com", ".Com:1": ".com", "10.0.0.7": "10.0.0.7", long: long, "localhost": "localhost",

		"": "", ".": "", "..": "", "..com": "", "a..b": "", ".a..b": "", "a.b..": "", "*.example.com": "", "a b": "", "a/b": "", "../../etc/x": "", "bücher": "",
		"example.com:": "", "example.com:x": "", "example.com:0": "", "example.com:65536": "", "a:1:2": "", "[::1]": "", "[::1]:1": "",
		long + "a": "", strings.Repeat("a", 64): "", "a\x00": "", ":80": "",
	} {
		if got, err := subscribe.HostKey(key); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v, want %q", key, got, err, want)
		}
	}
}

// FuzzHostKey: a key is a host as requests have it, and nothing that could be a path.
func FuzzHostKey(f *testing.F) {
	for _, s := range []string{"example.com", "A.b:80", ".example.com", "a..b", "x.", "[::1]", "a_b", "../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		got, err := subscribe.HostKey(key)
		if err != nil {
			return
		}
		name := strings.TrimPrefix(got, ".")
		if host, port, err := routing.NormalizeHost(name); host != name || port != "" || err != nil {
			t.Errorf("%q is %q, which is no host: %q, %q, %v", key, got, host, port, err)
		}
		if again, err := subscribe.HostKey(got); again != got || err != nil {
			t.Errorf("%q is %q, which is %q, %v", key, got, again, err)
		}
		if len(got) > 253 || strings.ContainsAny(got, "/\\:") {
			t.Errorf("%q is %q", key, got)
		}
	})
}
