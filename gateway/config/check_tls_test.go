package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/config"
	"headgate/tls/certs"
)

// tlsFile is a file with these listeners, tls section and sites.
func tlsFile(listen, tls, sites string) string {
	return fmt.Sprintf("listen: {%s}\ntls: {%s}\npools: {web: {members: [\"unix:/run/app.sock\"]}}\nsites: [%s]\n", listen, tls, sites)
}

func TestWarningsOfTLS(t *testing.T) {
	const both = `http: ":80", https: ":443"`
	public := `{hosts: [a.example.com], routes: [{pool: web}]}`
	for _, tt := range []struct{ name, listen, tls, sites, want string }{
		{"standard ports", both, "", public, ""},
		{"one standard port does", `http: ":8080", https: ":443"`, "", public, ""},
		{
			"other ports", `http: ":8080", https: ":8443"`, "", public,
			"tls.acme.challenges: the authority comes to port 80 (http-01) or 443 (tls-alpn-01), and nothing listens on either (listen on one of them, have it forwarded here, or write dns-01)",
		},
		{
			"http-01 alone", `https: ":443"`, "acme: {challenges: [http-01]}", public,
			`tls.acme.challenges: the authority comes to port 80 for http-01, and nothing listens there for http (set listen.http: ":80", have the port forwarded here, or write another challenge)`,
		},
		{
			"tls-alpn-01 alone", `http: ":80", https: ":8443"`, "acme: {challenges: [tls-alpn-01]}", public,
			`tls.acme.challenges: the authority comes to port 443 for tls-alpn-01, and nothing listens there for https (set listen.https: ":443", have the port forwarded here, or write another challenge)`,
		},
		{"dns on other ports", `https: ":8443"`, `acme: {challenges: [http-01, {type: dns-01, command: [hook]}]}`, public, ""},
		{"local names on other ports", `https: ":8443"`, "", "{hosts: [a.localhost], routes: [{pool: web}]}", ""},
		{
			"unused issuer", both, "issuer: acme, issuers: [{name: spare}]", public,
			`tls.issuers[0]: no site uses "spare" (name it in tls.issuer, or remove it)`,
		},
		{"auto uses all issuers", both, "issuers: [{name: spare}]", public, ""},
		{
			"nothing after internal", both, "issuer: [internal, acme]", public,
			"tls.issuer: acme is never asked: internal comes before it, and always has success (move internal to the end)",
		},
		{
			"on demand without open names", both, `on_demand: {ask: "https://app.example.com/ask"}`, public,
			"tls.on_demand: nothing is obtained on demand: every site lists its hosts one by one (add a site without hosts, or with *.example.com)",
		},
		{"on demand", both, `on_demand: {ask: "https://app.example.com/ask"}`, "{routes: [{pool: web}]}", ""},
		{"on demand below a wildcard", both, `on_demand: {ask: "pool://web/ask"}`, `{hosts: ["*.example.com"], routes: [{respond: {}}]}`, ""},
		{
			"address at Let's Encrypt", both, "issuer: acme", "{hosts: [192.0.2.1], routes: [{pool: web}]}",
			`site "192.0.2.1": Let's Encrypt certifies the address 192.0.2.1 with one profile only (set tls.acme.profile to shortlived)`,
		},
		{"address with the profile", both, "issuer: acme, acme: {profile: shortlived}", "{hosts: [192.0.2.1], routes: [{pool: web}]}", ""},
		{"address at a private authority", both, "issuer: acme, acme: {directory: \"https://ca.internal/dir\"}", "{hosts: [192.0.2.1, \"[::1]\", localhost], routes: [{pool: web}]}", ""},
		{
			"local name at Let's Encrypt", both, "issuer: acme", "{hosts: [app.internal], routes: [{pool: web}]}",
			`site "app.internal": Let's Encrypt does not certify app.internal (write tls.issuer: internal, or set tls.acme.directory to your own authority)`,
		},
		{"client certificates on request", both, "", "{hosts: [a.example.com], http: serve, tls: {client_auth: {ca: /a.pem, mode: request}}, routes: [{pool: web}]}", ""},
		{"client certificates without plain http", `https: ":443"`, "", "{hosts: [a.example.com], http: serve, tls: {client_auth: {ca: /a.pem}}, routes: [{pool: web}]}", ""},
		{"a site of plain http beside others", both, "", public + ", {hosts: [b.example.com], tls: {issuer: none}, routes: [{pool: web}]}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, tlsFile(tt.listen, tt.tls, tt.sites))
			var got []string
			for _, w := range c.Warnings {
				e := *w
				e.File = ""
				got = append(got, e.Error())
				if w.Line == 0 || w.Excerpt == "" {
					t.Errorf("%v has no place", w)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("warnings differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSiteOfAnIssuerRedirects(t *testing.T) {
	c := parse(t, tlsFile(`http: ":80", https: ":443"`, "issuer: none",
		"{hosts: [a.localhost], routes: [{pool: web}]}, {hosts: [b.localhost], tls: {issuer: internal}, routes: [{pool: web}]}"))
	if a, b := c.Sites[0].HTTP, c.Sites[1].HTTP; a != "serve" || b != "redirect" {
		t.Errorf("http of a site without and one with an issuer: %q, %q; want serve, redirect", a, b)
	}
}

func TestClientAuthDefaults(t *testing.T) {
	c := parse(t, tlsFile(`https: ":443"`, "", "{hosts: [a.localhost], tls: {client_auth: {ca: /a.pem}}, routes: [{pool: web}]}, {routes: [{pool: web}]}"))
	want := certs.ClientAuth{CA: "/a.pem", Mode: "require", Depth: 1}
	if got := c.Sites[0].TLS.ClientAuth; got != want {
		t.Errorf("client_auth = %+v, want %+v", got, want)
	}
	if got := c.Sites[1].TLS.ClientAuth; got != (certs.ClientAuth{}) {
		t.Errorf("without client_auth: %+v", got)
	}
}

// secretTexts are in the files below testdata, and nowhere else.
func secretTexts() []string {
	return []string{"c2VjcmV0LWhtYWM", "c2VjcmV0LWtleQ", "c2lnbmVkLXdpdGgtdGhpcw", "hunter2", "gate-pass", "not!base64url", "ecret-Key"}
}

func TestSecretsAreNotShown(t *testing.T) {
	files, _ := filepath.Glob("testdata/errors/*.errors")
	texts := map[string]string{}
	for _, file := range files {
		_, err := config.Load(strings.TrimSuffix(file, ".errors")+".yaml", environ)
		texts[file] = errorsOf(t, err).Detail()
	}
	c, err := config.Load("testdata/ok/full.yaml", environ)
	if err != nil {
		t.Fatal(err)
	}
	texts["Marshal"] = string(c.Marshal())
	texts["printed"] = fmt.Sprintf("%v %+v %#v %s", c.TLS.ACME, c.TLS.ACME, c.TLS.ACME, c.TLS.ACME)
	for name, text := range texts {
		for _, secret := range secretTexts() {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s:\n%s", name, secret, text)
			}
		}
	}
	if !strings.Contains(texts["Marshal"], "hmac: '***'") && !strings.Contains(texts["Marshal"], `hmac: "***"`) {
		t.Errorf("Marshal does not say that there is an hmac:\n%s", texts["Marshal"])
	}
}

func TestHashSeesSecrets(t *testing.T) {
	hash := func(hmac, password string) string {
		return parse(t, tlsFile(`https: ":443"`, "acme: {eab: {key_id: a, hmac: "+hmac+"}}, storage: \"redis://:"+password+"@cache\"", "{routes: [{pool: web}]}")).Hash()
	}
	if hash("YWFh", "one") == hash("YWFi", "one") {
		t.Error("the hash does not see that a secret changed")
	}
	if hash("YWFh", "one") == hash("YWFh", "two") {
		t.Error("the hash does not see that a password changed")
	}
}

// TestHidingIsBounded has a secret that is an alias of aliases, and more secrets
// than a person has.
func TestHidingIsBounded(t *testing.T) {
	bomb := "a: &a [" + strings.Repeat("xxxxx,", 10) + "]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 10))
	}
	var many strings.Builder
	many.WriteString("tracing: {timeout: never, headers: {")
	for i := range 3_000 {
		fmt.Fprintf(&many, "k%d: secret%d, ", i, i)
	}
	for _, text := range []string{bomb + "tls: {acme: {eab: {hmac: *j}}}\n", many.String() + "}}\n" + strings.Repeat("x: 1\n", 200)} {
		_, err := config.Parse("f", []byte(text), nil)
		if detail := errorsOf(t, err).Detail(); strings.Contains(detail, "secret0") || strings.Contains(detail, "secret1,") {
			t.Errorf("a secret is shown:\n%s", detail)
		}
	}
}

// TestExcerptCutsNoSecretOpen has secrets across both ends of the excerpt.
func TestExcerptCutsNoSecretOpen(t *testing.T) {
	secret := strings.Repeat("s3cr3t", 40)
	text := "tracing: {headers: {a: " + secret + "}, timeout: never, ca: /x/" + strings.Repeat("y", 30) + ", endpoint: x, attributes: {b: c}}\n" +
		"tls: {email: x, acme: {eab: {key_id: a, hmac: " + secret + "}}}\n"
	_, err := config.Parse("f", []byte(text), nil)
	if detail := errorsOf(t, err).Detail(); strings.Contains(detail, "s3cr3t") || !strings.Contains(detail, "***") {
		t.Errorf("got\n%s", detail)
	}
}
