package dns_test

import (
	"strings"
	"testing"

	"headgate/upstream/dns"
)

func TestIsName(t *testing.T) {
	for address, want := range map[string]bool{
		"app:3031": true, "localhost:3031": true, "app.internal.:3031": true, "my_app-1:80": true, "app:http": true,
		"srv:_uwsgi._tcp.example.com": true, "srv:": true,
		"10.0.0.7:3031": false, "[::1]:3031": false, "[fe80::1%eth0]:3031": false, "10.0.0.999:3031": false,
		"unix:/run/app.sock": false, "unix:@app": false, "unix:3031": false, "/run/app:1": false, "@app:1": false,
		"app": false, ":3031": false, "": false, "http://app:8000": false, "::1:3031": false, "[app]:3031": false,
	} {
		if got := dns.IsName(address); got != want {
			t.Errorf("IsName(%q) = %v, want %v", address, got, want)
		}
	}
}

func TestCheckSaysHowToWriteIt(t *testing.T) {
	for address, want := range map[string]string{
		"app:3031":                        "",
		"App.Internal.:65535":             "",
		"srv:_uwsgi._tcp.example.com":     "",
		"srv:uwsgi.service.consul":        "",
		"app:0":                           `address "app:0": port "0" is not a number from 1 to 65535; write app:3031`,
		"app:http":                        "write app:3031",
		"app:+1":                          "write app:3031",
		"app:":                            "write app:3031",
		"a..b:3031":                       `"a..b" is not a host name; write letters`,
		"bücher:3031":                     "is not a host name; write letters",
		"*.example.com:3031":              "is not a host name; write letters",
		strings.Repeat("a", 64) + ":1":    "has 64 bytes and DNS takes 63 between two dots; choose a shorter one",
		strings.Repeat("a.", 127) + "b:1": "has 255 bytes and DNS takes 253; choose a shorter one",
		"srv:":                            "has no name; write srv:_uwsgi._tcp.example.com",
		"srv:_uwsgi._tcp.a.example:3031":  "has a port, which comes from the SRV records; write srv:_uwsgi._tcp.a.example",
		"srv:10.0.0.7":                    `"10.0.0.7" is a number and not a name`,
		"srv://app":                       "is not a host name",
		"app :3031":                       "has a space or a control character in it; take it out",
		"10.0.0.7:3031":                   "is not a name with a port; write app:3031",
		"unix:/run/app.sock":              "is not a name with a port; write app:3031",
	} {
		err := dns.Check(address)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("Check(%q) = %v, want %q", address, err, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"app:3031", "srv:_uwsgi._tcp.example.com", "10.0.0.7:1", "[::1]:1", "a.:1", ":", "srv:.", ".:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if err := dns.Check(address); err == nil && !dns.IsName(address) {
			t.Errorf("Check(%q) finds nothing wrong with what is no name", address)
		}
	})
}

func TestOptionsValidate(t *testing.T) {
	for _, o := range []dns.Options{{}, {MaxTTL: 1e9}, {MaxTTL: 3600e9}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, o := range []dns.Options{{MaxTTL: -1}, {MaxTTL: 999e6}} {
		if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), "max_ttl: ") {
			t.Errorf("%+v: %v, want an error of max_ttl", o, err)
		}
	}
}
