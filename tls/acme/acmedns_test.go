package acme_test

import (
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

func TestOrdersByACMEDNS(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.", "auth.test.")
	api := startACMEDNS(t, ns)
	ns.add(t, "_acme-challenge.example.test. 60 IN CNAME one.auth.test.")
	ns.add(t, "_acme-challenge.shop.example.test. 60 IN CNAME two.auth.test.")
	o := certs.ChallengeOptions{Type: "dns-01", Resolvers: []string{ns.addr}, ACMEDNS: certs.ACMEDNS{
		Server:   api.web.URL + "/",
		Accounts: accountsFile(t, map[string]map[string]string{"example.test": api.register("one"), "*.Shop.Example.TEST.": api.register("two")}),
	}}
	s := dnsSolver(t, o)
	c := newClient(t, pebbletest.Start(t, pebbletest.Options{DNS: ns.addr}))
	for _, names := range [][]string{
		{"*.example.test"},
		{"example.test", "*.example.test"}, // the two values that acme-dns keeps
		{"shop.example.test"},
		{"example.test", "shop.example.test"},
	} {
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			if err := c.order(t, "dns-01", s, names...); err != nil {
				t.Fatal(err)
			}
		})
	}
	if hg.Proofs(s) != 0 {
		t.Errorf("%d records are remembered after the orders", hg.Proofs(s))
	}
}

func TestACMEDNSErrorsNameTheCure(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.", "auth.test.")
	ns.add(t, "_acme-challenge.example.test. 60 IN CNAME one.auth.test.")
	ns.add(t, "_acme-challenge.lost.example.test. 60 IN CNAME gone.auth.test.")
	api := startACMEDNS(t, ns)
	one := api.register("one")
	other := maps.Clone(one)
	other["password"] = "s3cret-of-another"
	for name, tt := range map[string]struct {
		domain  string
		account map[string]string
		under   string
		path    string
		answer  string
		moved   string
		fail    []int
		want    []string
	}{
		"no account":     {domain: "new.example.test", want: []string{"no account for new.example.test", "/register", "_acme-challenge.new.example.test. CNAME"}},
		"no CNAME":       {domain: "plain.example.test", under: "plain.example.test", want: []string{"create the record _acme-challenge.plain.example.test. CNAME one.auth.test."}},
		"another's":      {domain: "lost.example.test", want: []string{"gone.auth.test", "_acme-challenge.lost.example.test. leads", "fulldomain"}},
		"wrong password": {domain: "example.test", account: other, want: []string{"401", "forbidden", "username and password"}},
		"wrong path":     {domain: "example.test", path: "/update", want: []string{"404", "without /update"}},
		"login page":     {domain: "example.test", answer: "<html>\nplease log in", want: []string{"not acme-dns", "<html> please log in"}},
		"moved":          {domain: "example.test", moved: "https://new.test/update", want: []string{"leads to https://new.test/update", "308"}},
		"down for long":  {domain: "example.test", fail: []int{502, 503, 500}, want: []string{"500"}},
	} {
		t.Run(name, func(t *testing.T) {
			api.mu.Lock()
			api.answer, api.moved, api.fail = tt.answer, tt.moved, tt.fail
			api.mu.Unlock()
			if tt.account == nil {
				tt.account = one
			}
			if tt.under == "" {
				tt.under = "example.test"
			}
			s := dnsSolver(t, certs.ChallengeOptions{Resolvers: []string{ns.addr}, ACMEDNS: certs.ACMEDNS{
				Server: api.web.URL + tt.path, Accounts: accountsFile(t, map[string]map[string]string{tt.under: tt.account}),
			}})
			err := s.Present(t.Context(), challenge(tt.domain, "tok"))
			wantError(t, err, tt.want...)
			if strings.Contains(err.Error(), tt.account["password"]) {
				t.Errorf("the password is in the error %q", err)
			}
		})
	}
}

func TestACMEDNSIsAskedAgain(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "auth.test.")
	api := startACMEDNS(t, ns)
	api.fail = []int{http.StatusBadGateway}
	o := certs.ChallengeOptions{Resolvers: []string{"127.0.0.1:1"}, PropagationTimeout: -1, ACMEDNS: certs.ACMEDNS{
		Server: "http://127.0.0.1:1", Accounts: accountsFile(t, map[string]map[string]string{"example.test": func() map[string]string {
			a := api.register("one")
			a["server_url"] = api.web.URL // counts more than the configuration's
			return a
		}()}),
	}}
	c := challenge("example.test", "tok")
	// No name server can be asked, so the account is found by the domain.
	if err := dnsSolver(t, o).Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := ns.texts("one.auth.test."); len(got) != 1 || got[0] != c.DNS01KeyAuthorization() {
		t.Errorf("acme-dns has %q", got)
	}
}

func TestAccountsFileIsCheckedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ text, want string }{
		"missing":    {"", "no such file"},
		"not JSON":   {"example.com: {}", "not accounts by domain"},
		"incomplete": {`{"example.com": {"username": "u"}}`, "account of example.com lacks"},
		"no domain":  {`{"*.": {"username": "u", "password": "p", "subdomain": "s", "fulldomain": "s.x"}}`, "not a domain"},
		"too large":  {`{"a":` + strings.Repeat(" ", 1<<20) + `{}}`, "larger than"},
		"twins": {`{"A.b": {"username": "u", "password": "p", "subdomain": "s", "fulldomain": "s.x"},
			"a.b.": {"username": "v", "password": "p", "subdomain": "t", "fulldomain": "t.x"}}`, "two accounts"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if tt.text != "" {
				if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := hg.NewDNSSolver(certs.ChallengeOptions{ACMEDNS: certs.ACMEDNS{Server: "http://127.0.0.1:1", Accounts: file}}, nil)
			wantError(t, err, tt.want, file)
		})
	}
}

func TestOpenAccountsFileIsLogged(t *testing.T) {
	file := accountsFile(t, nil)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	var out journal
	if _, err := hg.NewDNSSolver(certs.ChallengeOptions{ACMEDNS: certs.ACMEDNS{Server: "http://127.0.0.1:1", Accounts: file}}, out.log()); err != nil {
		t.Fatal(err)
	}
	if !out.has(slog.LevelWarn, "chmod 600") || !out.has(slog.LevelWarn, file) {
		t.Error("the log does not warn, with the file and the cure")
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add([]byte(`{"example.com": {"username": "u", "password": "p", "subdomain": "s", "fulldomain": "s.auth.example.org", "server_url": "https://auth.example.org", "allowfrom": []}}`))
	f.Add([]byte(`{"*.A.": {"username": "u", "password": "p", "subdomain": "s", "fulldomain": "x"}, "a": null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		accounts, err := hg.ParseAccounts(data)
		if err != nil && accounts != nil {
			t.Error("accounts and an error")
		}
		for domain, a := range accounts {
			if domain == "" || strings.HasSuffix(domain, ".") || domain != strings.ToLower(domain) {
				t.Errorf("domain %q is not clean", domain)
			}
			if a.Username == "" || a.Password == "" || a.SubDomain == "" || a.FullDomain == "" {
				t.Errorf("incomplete account %+v", a)
			}
		}
	})
}
