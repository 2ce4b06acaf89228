package access_test

import (
	"slices"
	"strings"
	"testing"

	"headgate/gateway/filter/access"
	"headgate/gateway/notation"
)

// cures begin what a reader is told to do.
var cures = []string{"write", "give", "list", "take", "put", "use", "set", "remove", "leave", "name", "choose", "keep", "send"}

// wantFaults wants exactly the errors that begin so, and a cure at the end of each.
func wantFaults(t *testing.T, err error, want ...string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	for i, line := range got {
		verb, _, _ := strings.Cut(line[strings.LastIndex(line, ": ")+2:], " ")
		if !slices.Contains(cures, verb) {
			t.Errorf("%q: the cure begins with %q", line, verb)
		}
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("error %d: got %q, want %q", i, line, append(want, "none")[min(i, len(want))])
		}
	}
	if len(got) < len(want) {
		t.Errorf("got %d errors, want also %q", len(got), want[len(got):])
	}
}

func TestValidateNetworks(t *testing.T) {
	wantFaults(t, access.Options{}.Validate())
	wantFaults(t, access.Options{Allow: []string{"10.0.0.0/8", "nonsense", "all", "10.1.2.3/8", "", "fe80::1%eth0"}, Deny: []string{"::1", "1.2.3", "::1/129"}}.Validate(),
		`allow[1]: "nonsense" is not a network`, "allow[2]: all is not a network", `allow[3]: "10.1.2.3/8" has bits beyond its mask: write 10.0.0.0/8, or 10.1.2.3`,
		"allow[4]: ", "allow[5]: ", "deny[1]: ", "deny[2]: ")
}

func TestValidateBasicAuth(t *testing.T) {
	for _, b := range []access.BasicAuth{{}, {File: "off"}, {File: "/etc/users"}, {File: "users", Realm: `the "shop"`}} {
		wantFaults(t, b.Validate())
	}
	wantFaults(t, access.BasicAuth{Realm: "shop"}.Validate(), "file: is missing")
	wantFaults(t, access.BasicAuth{File: "users", Realm: "a\r\nb"}.Validate(), "realm: has ")
	wantFaults(t, access.BasicAuth{File: "users", Realm: "bücher"}.Validate(), "realm: has ")
	wantFaults(t, access.BasicAuth{File: "users", Realm: strings.Repeat("x", 200)}.Validate(), "realm: is longer")
	if (access.BasicAuth{}).Enabled() || (access.BasicAuth{File: "off"}).Enabled() || !(access.BasicAuth{File: "users"}).Enabled() {
		t.Error("only one with a file is on")
	}
	if got, want := (access.BasicAuth{File: "users"}).Challenge(), `Basic realm="restricted", charset="UTF-8"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (access.BasicAuth{File: "users", Realm: `a "b\c`}).Challenge(), `Basic realm="a \"b\\c", charset="UTF-8"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestValidateCrossOrigin(t *testing.T) {
	wantFaults(t, access.CrossOrigin{}.Validate())
	wantFaults(t, access.CrossOrigin{Trusted: []string{"https://admin.example.com", "http://localhost:3000"}}.Validate())
	bad := []string{"", "admin.example.com", "https://", "https://a.com/", "https://a.com/x", "https://*.a.com", "HTTPS://A.com", "https://a.com:443", "http://a.com:80", "https://u@a.com", "https://a.com?x", "null"}
	for _, origin := range bad {
		wantFaults(t, access.CrossOrigin{Trusted: []string{origin}}.Validate(), "trusted[0]: ")
		if _, err := access.NewCrossOrigin(access.CrossOrigin{Trusted: []string{origin}}); err == nil {
			t.Errorf("NewCrossOrigin takes %q", origin)
		}
	}
	if got := (access.CrossOrigin{}).WithDefaults(); got.On != notation.On {
		t.Errorf("got %v, want on", got.On)
	}
}
