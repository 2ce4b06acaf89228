package acme_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

const pebbleName = "pebble.letsencrypt.org" // under which Pebble looks for itself

func TestOrdersByPersistentRecord(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	c := newClient(t, ca)
	s := hg.NewPersistSolver(certs.ChallengeOptions{Resolvers: []string{ca.DNS}}, func() string { return c.account.Location }, nil)
	record := pebbleName + "; accounturi=" + c.account.Location

	err := c.order(t, "dns-persist-01", s, "one.test")
	wantError(t, err, "there is no record", "create this record once", `_validation-persist.one.test. IN TXT "`+record+`"`)
	if ca.Count("challenge") != 0 {
		t.Error("the authority was told to look for a record that is not there")
	}

	ca.SetTXT("_validation-persist.one.test", record)
	for range 2 { // it is for good
		if err := c.order(t, "dns-persist-01", s, "one.test"); err != nil {
			t.Fatal(err)
		}
	}
	err = c.order(t, "dns-persist-01", s, "*.one.test")
	wantError(t, err, "has no policy=wildcard", `"`+record+`; policy=wildcard"`)

	ca.SetTXT("_validation-persist.one.test", record+"; policy=wildcard")
	for _, names := range [][]string{{"*.one.test"}, {"*.one.test", "one.test"}} {
		if err := c.order(t, "dns-persist-01", s, names...); err != nil {
			t.Fatalf("%v: %v", names, err)
		}
	}

	ca.SetCNAME("_validation-persist.two.test", "_validation-persist.one.test") // delegated
	if err := c.order(t, "dns-persist-01", s, "two.test"); err != nil {
		t.Fatal(err)
	}
}

// TestThePrintedRecordIsEnough creates what the error says, and nothing else.
func TestThePrintedRecordIsEnough(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	c := newClient(t, ca)
	s := hg.NewPersistSolver(certs.ChallengeOptions{Resolvers: []string{ca.DNS}}, func() string { return c.account.Location }, nil)
	err := c.order(t, "dns-persist-01", s, "*.shop.test")
	name, text := printedRecord(t, err)
	ca.SetTXT(name, text)
	if err := c.order(t, "dns-persist-01", s, "*.shop.test"); err != nil {
		t.Fatal(err)
	}
}

// TestIssuerProvesAWildcardByAPersistentRecord goes through the issuer, which has
// to hand its account and the names of the order over.
func TestIssuerProvesAWildcardByAPersistentRecord(t *testing.T) {
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, func(a *certs.Authority) {
		a.Options.Challenges = []certs.ChallengeOptions{{Type: "dns-persist-01", Resolvers: []string{w.ca.DNS}}}
	})
	_, err := i.Obtain(t.Context(), certs.Order{Names: []string{"*.shop.test"}, Key: newKey(t)})
	name, text := printedRecord(t, err)
	if !strings.HasSuffix(text, "; policy=wildcard") {
		t.Errorf("record %q has no policy for wildcards", text)
	}
	w.ca.SetTXT(name, text)
	w.obtain(t, i, "*.shop.test")
}

// printedRecord is the record that an error says to create.
func printedRecord(t *testing.T, err error) (name, text string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error without a record")
	}
	_, said, _ := strings.Cut(err.Error(), "create this record once: ")
	name, value, ok := strings.Cut(said, " IN TXT ")
	if !ok {
		t.Fatalf("no record in %q", err)
	}
	if _, err := fmt.Sscanf(value, "%q", &text); err != nil {
		t.Fatalf("record %q: %v", value, err)
	}
	return name, text
}

func TestPersistentRecords(t *testing.T) {
	const account = "https://ca.test/acct/1"
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	past := time.Now().Add(-time.Hour).Unix()
	for name, tt := range map[string]struct {
		record, want string // of the error; "" is none
	}{
		"plain":             {"ca.test; accounturi=" + account, ""},
		"second name":       {"other.test; accounturi=" + account, ""},
		"spaces and cases":  {" \tCA.test ;\tAccountURI = " + account + " ; Policy=Wildcard", ""},
		"more to come":      {"ca.test; accounturi=" + account + "; persistUntil=4102444800", ""},
		"unknown parameter": {"ca.test; accounturi=" + account + "; later=1", ""},
		"over":              {fmt.Sprintf("ca.test; accounturi=%s; persistUntil=%d", account, past), "ended at"},
		"other account":     {"ca.test; accounturi=https://ca.test/acct/2", "of another account"},
		"no account":        {"ca.test", "names no account"},
		"other authority":   {"x.test; accounturi=" + account, "of another authority"},
		"empty":             {"", "names no authority"},
		"trailing":          {"ca.test; accounturi=" + account + ";", "tag=value"},
		"twice":             {"ca.test; accounturi=" + account + "; accounturi=" + account, "twice"},
		"no number":         {"ca.test; accounturi=" + account + "; persistuntil=soon", "number of seconds"},
		"space inside":      {"ca.test; accounturi=a b", "character in accounturi"},
	} {
		t.Run(name, func(t *testing.T) {
			ns.set(func() { ns.records = append(ns.records[:1:1], textRR("_validation-persist.example.test.", tt.record)) })
			s := hg.NewPersistSolver(certs.ChallengeOptions{Resolvers: []string{ns.addr}}, func() string { return account }, nil)
			err := s.Present(t.Context(), acme.Challenge{
				Type: "dns-persist-01", Identifier: acme.Identifier{Type: "dns", Value: "example.test"}, IssuerDomainNames: []string{"ca.test", "other.test"},
			})
			switch {
			case tt.want != "":
				wantError(t, err, tt.want, "_validation-persist.example.test. IN TXT", account)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func TestPersistentRecordWithoutALook(t *testing.T) {
	c := acme.Challenge{Type: "dns-persist-01", Identifier: acme.Identifier{Type: "dns", Value: "example.test"}}
	o := certs.ChallengeOptions{Resolvers: []string{"127.0.0.1:1"}}
	s := hg.NewPersistSolver(o, func() string { return "https://ca.test/1" }, nil)
	wantError(t, s.Present(t.Context(), c), "does not say under which name")
	c.IssuerDomainNames = []string{"ca.test"}
	wantError(t, s.Present(t.Context(), c), "127.0.0.1:1", "set resolvers")
	o.PropagationTimeout = -1
	s = hg.NewPersistSolver(o, func() string { return "https://ca.test/1" }, nil)
	if err := s.Present(t.Context(), c); err != nil {
		t.Error(err)
	}
	if err := s.CleanUp(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func FuzzPersistRecord(f *testing.F) {
	f.Add("ca.test; accounturi=https://ca.test/1; policy=wildcard; persistUntil=4102444800")
	f.Add(";;=;")
	f.Add("a;b=\x00")
	f.Fuzz(func(_ *testing.T, text string) { _ = hg.ParsePersist(text) }) // never panics
}
