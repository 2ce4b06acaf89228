package certs_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"headgate/tls/certs"
)

// wantFaults compares the beginnings of the lines of err, in their order.
func wantFaults(t *testing.T, err error, want ...string) {
	t.Helper()
	var lines []string
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(want), err)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) {
			t.Errorf("error %d is %q, want it to start with %q", i, lines[i], w)
		}
	}
}

func TestOptionsValidateReportsAllAtOnceByKey(t *testing.T) {
	o := certs.Options{
		Issuer: []string{"letsencrypt", "acme", "acme", "none"}, Email: "nobody", Storage: "memory", MinVersion: "1.1",
		Certificates: []certs.Pair{{Cert: "/a", Key: "/b"}, {}},
		ACME:         certs.ACMEOptions{Directory: "ca", Keys: []string{"rsa1024"}},
		Issuers:      []certs.NamedACME{{Name: "auto"}},
		OnDemand:     certs.OnDemandOptions{Ask: "app", Rate: -1},
		ECH:          certs.ECHOptions{PublicName: "192.0.2.1"},
	}
	wantFaults(t, o.Validate(),
		"issuer[2]: ", "issuer[3]: none ", `issuer[0]: "letsencrypt" is not an issuer`, "email: ",
		"certificates[1].cert: ", "certificates[1].key: ", `acme.directory: "ca" `, `acme.keys[0]: "rsa1024" `,
		"issuers[0].name: ", "on_demand.rate: ", "on_demand.ask: ", "ech.public_name: ", `storage: "memory" `, `min_version: "1.1"`,
	)
	wantFaults(t, certs.Options{}.Validate())
}

func TestOptionsValidateStorage(t *testing.T) {
	for storage, want := range map[string]string{
		"":                                  "",
		"file:/srv/tls":                     "",
		"file:state":                        "is not an absolute path",
		"s3://bucket":                       "is not a place",
		"redis://cache":                     "",
		"redis://cache:6379/":               "",
		"rediss://u:hunter2@cache:6380/15":  "",
		"redis://[::1]:6379/0":              "",
		"redis://:hunter2@c?prefix=a:":      "",
		"redis://c?lease=30s&prefix=a":      "",
		"redis://:hunter2@":                 "names no host",
		"redis://:6379":                     "names no host",
		"redis://c:0":                       "has no port",
		"redis://c:70000":                   "has no port",
		"redis://:hunter2@c:port":           "is not a URL",
		"redis://:hun/ter2@c":               "is not a URL",
		"redis://c/-1":                      "has no number of a database",
		"redis://u@c":                       "has a user without a password",
		"redis://c?prefix=":                 "has a prefix",
		"redis://c?prefix=a%20b":            "has a prefix",
		"redis://c?lease=11m":               "has a lease",
		"redis://c/1/2":                     "has no number of a database",
		"redis://c?lease=0s":                "has a lease",
		"redis://c?lease=":                  "has a lease",
		"redis://c?lease=1s&lease=2s":       `has a "lease"`,
		"redis://u:hunter2@c?password=beef": `has a "password"`,
		"redis://c?a;b":                     "is not a URL",
		"redis://u:hunter2@c#x":             "is not a URL",
	} {
		err := certs.Options{Storage: storage}.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("storage %q: %v, want %q", storage, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "ter2") {
			t.Errorf("storage %q: the message has the password: %v", storage, err)
		}
	}
}

func TestOptionsValidateDirectory(t *testing.T) {
	for directory, ok := range map[string]bool{
		"https://acme.example/dir": true, "https://192.0.2.1:14000/dir": true,
		"https://127.0.0.1:4001/dir": true, "https://[::1]/dir": true, "https://ca.localhost/dir": true, "http://localhost:4001/dir": false,
		"http://ca.example/dir": false, "http://localhost.example/dir": false, "acme.example/dir": false, "https:///dir": false,
		"https://u:p@acme.example/dir": false, "https://acme.example/dir#x": false, "https://acme .example": false, "file:///dir": false,
	} {
		err := certs.Options{ACME: certs.ACMEOptions{Directory: directory}}.Validate()
		if (err == nil) != ok {
			t.Errorf("directory %q: %v, want ok %v", directory, err, ok)
		}
	}
}

func TestOptionsValidateEAB(t *testing.T) {
	for _, tt := range []struct {
		eab  certs.EAB
		want []string
	}{
		{certs.EAB{KeyID: "a", HMAC: "c2VjcmV0"}, nil},
		{certs.EAB{KeyID: "a", HMAC: "c2VjcmV0LQ=="}, nil},
		{certs.EAB{KeyID: "a", HMAC: "_-8"}, nil},
		{certs.EAB{KeyID: "a"}, []string{"acme.eab.hmac: is missing"}},
		{certs.EAB{HMAC: "c2VjcmV0"}, []string{"acme.eab.key_id: is missing"}},
		{certs.EAB{KeyID: "a", HMAC: "/+8="}, nil},
		{certs.EAB{KeyID: "a", HMAC: "s3cr*t"}, []string{"acme.eab.hmac: is not base64url"}},
		{certs.EAB{KeyID: "a", HMAC: "="}, []string{"acme.eab.hmac: is not base64url"}},
	} {
		err := certs.Options{ACME: certs.ACMEOptions{EAB: tt.eab}}.Validate()
		wantFaults(t, err, tt.want...)
		if err != nil && tt.eab.HMAC != "" && strings.Contains(err.Error(), string(tt.eab.HMAC)) && len(tt.eab.HMAC) > 2 {
			t.Errorf("the message has the secret: %v", err)
		}
	}
}

func TestOptionsValidateChallenges(t *testing.T) {
	const at = "acme.challenges[0]"
	for name, tt := range map[string]struct {
		c    certs.ChallengeOptions
		want []string
	}{
		"http":    {certs.ChallengeOptions{Type: "http-01"}, nil},
		"persist": {certs.ChallengeOptions{Type: "dns-persist-01", Resolvers: []string{"10.0.0.2"}, PropagationTimeout: -1}, nil},
		"persist ttl": {
			certs.ChallengeOptions{Type: "dns-persist-01", Resolvers: []string{"a b"}, TTL: 1}, []string{at + ".ttl: ", at + ".resolvers[0]: "},
		},
		"unknown":    {certs.ChallengeOptions{Type: "dns"}, []string{at + `.type: "dns" `}},
		"none":       {certs.ChallengeOptions{}, []string{at + ".type: is missing"}},
		"no way":     {certs.ChallengeOptions{Type: "dns-01"}, []string{at + ": dns-01 does not say"}},
		"command":    {certs.ChallengeOptions{Type: "dns-01", Command: []string{"/bin/hook", "x"}, PropagationTimeout: -1}, nil},
		"no command": {certs.ChallengeOptions{Type: "dns-01", Command: []string{" "}}, []string{at + ".command: "}},
		"two ways": {
			certs.ChallengeOptions{Type: "dns-01", Command: []string{"x"}, ACMEDNS: certs.ACMEDNS{Server: "https://a", Accounts: "/a"}},
			[]string{at + ": dns-01 says more than one way"},
		},
		"of no use": {
			certs.ChallengeOptions{Type: "tls-alpn-01", Command: []string{"x"}, RFC2136: certs.RFC2136{Server: "ns:53"}, TTL: time.Second, PropagationDelay: 1, PropagationTimeout: -1},
			[]string{at + ".rfc2136: ", at + ".command: ", at + ".propagation_delay: ", at + ".propagation_timeout: ", at + ".ttl: "},
		},
		"negative": {certs.ChallengeOptions{Type: "dns-01", Command: []string{"x"}, TTL: -1, PropagationDelay: -1}, []string{at + ".propagation_delay: ", at + ".ttl: "}},
		"resolvers": {
			certs.ChallengeOptions{Type: "dns-01", Command: []string{"x"}, Resolvers: []string{"10.0.0.2", "::1", "[::1]:5353", "ns.example.com", "ns:53x", ":53", ""}},
			[]string{at + ".resolvers[4]: ", at + ".resolvers[5]: ", at + ".resolvers[6]: "},
		},
		"rfc2136": {
			certs.ChallengeOptions{Type: "dns-01", RFC2136: certs.RFC2136{Server: "[::1]:53", Zone: "Example.com.", KeyName: "headgate.", Key: "c2VjcmV0", Algorithm: "hmac-sha512"}}, nil,
		},
		"rfc2136 unsigned": {certs.ChallengeOptions{Type: "dns-01", RFC2136: certs.RFC2136{Server: "127.0.0.1:53"}}, nil},
		"rfc2136 wrong": {
			certs.ChallengeOptions{Type: "dns-01", RFC2136: certs.RFC2136{Server: "ns", Zone: "*.x", KeyName: "a b", Key: "se-cret", Algorithm: "hmac-md5"}},
			[]string{at + ".rfc2136.server: ", at + ".rfc2136.zone: ", at + `.rfc2136.algorithm: "hmac-md5"`, at + ".rfc2136.key: is not base64", at + ".rfc2136.key_name: "},
		},
		"rfc2136 without server": {
			certs.ChallengeOptions{Type: "dns-01", RFC2136: certs.RFC2136{Key: "c2VjcmV0"}}, []string{at + ".rfc2136.server: ", at + ".rfc2136.key_name: is missing"},
		},
		"rfc2136 without key": {certs.ChallengeOptions{Type: "dns-01", RFC2136: certs.RFC2136{Server: "ns:53", KeyName: "k"}}, []string{at + ".rfc2136.key: is missing"}},
		"acme-dns":            {certs.ChallengeOptions{Type: "dns-01", ACMEDNS: certs.ACMEDNS{}}, []string{at + ": dns-01 does not say"}},
		"acme-dns half":       {certs.ChallengeOptions{Type: "dns-01", ACMEDNS: certs.ACMEDNS{Accounts: "/a"}}, []string{at + ".acme_dns.server: "}},
		"acme-dns other half": {certs.ChallengeOptions{Type: "dns-01", ACMEDNS: certs.ACMEDNS{Server: "https://a.example"}}, []string{at + ".acme_dns.accounts: "}},
	} {
		t.Run(name, func(t *testing.T) {
			err := certs.Options{ACME: certs.ACMEOptions{Challenges: []certs.ChallengeOptions{tt.c}}}.Validate()
			wantFaults(t, err, tt.want...)
			if err != nil && strings.Contains(err.Error(), "se-cret") {
				t.Errorf("the message has the secret: %v", err)
			}
		})
	}
	twice := []certs.ChallengeOptions{{Type: "http-01"}, {Type: "tls-alpn-01"}, {Type: "http-01"}}
	wantFaults(t, certs.Options{ACME: certs.ACMEOptions{Challenges: twice}}.Validate(), "acme.challenges[2]: http-01 is listed twice")
}

func TestOptionsValidateIssuers(t *testing.T) {
	o := certs.Options{
		Issuer: []string{"zerossl", "auto"},
		Issuers: []certs.NamedACME{
			{Name: "zerossl"},
			{Name: "zerossl"},
			{Name: "none"},
			{},
			{Name: "../x"},
			{Name: ".."},
			{Name: "x", Email: "x", ACMEOptions: certs.ACMEOptions{Directory: "x", Keys: []string{"p256", "p256"}}},
		},
	}
	wantFaults(t, o.Validate(),
		`issuers[1].name: "zerossl" is already the name of issuers[0]`, `issuers[2].name: "none" has a meaning`, "issuers[3].name: is missing",
		"issuers[4].name: ", "issuers[5].name: ", "issuers[6].email: ", "issuers[6].directory: ", "issuers[6].keys[1]: ",
	)
}

func TestOptionsValidateAsk(t *testing.T) {
	for ask, ok := range map[string]bool{
		"https://app.example.com/allowed": true, "http://127.0.0.1:8000/ask?token=x": true, "pool://shop/tls/allowed": true, "pool://shop/": true,
		"pool://shop": false, "pool:///allowed": false, "pool://u@shop/a": false, "shop": false, "ftp://x/y": false, "https://x/y#z": false, "https://": false,
	} {
		if err := (certs.Options{OnDemand: certs.OnDemandOptions{Ask: ask}}).Validate(); (err == nil) != ok {
			t.Errorf("ask %q: %v, want ok %v", ask, err, ok)
		}
	}
	wantFaults(t, certs.Options{OnDemand: certs.OnDemandOptions{Rate: 3}}.Validate(), "on_demand.ask: is missing")
}

func TestSecretIsNotShown(t *testing.T) {
	o := certs.EAB{KeyID: "kid", HMAC: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "hmac", o.HMAC, "eab", o)
	for _, text := range []string{fmt.Sprint(o), fmt.Sprintf("%+v %#v %s %q", o, o, o.HMAC, o.HMAC), log.String()} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "(secret)") {
			t.Errorf("got %s", text)
		}
	}
	if got := fmt.Sprint(certs.Secret("")); got != "" {
		t.Errorf("an empty secret prints as %q", got)
	}
}

func TestStorageDir(t *testing.T) {
	if got := (certs.Options{Storage: "file:/srv/tls/"}).StorageDir(); got != "/srv/tls" {
		t.Errorf("got %q, want /srv/tls", got)
	}
	if os.Geteuid() == 0 {
		if got := certs.DefaultStorage(); got != "file:/var/lib/headgate" {
			t.Errorf("default for root is %q", got)
		}
		return
	}
	t.Setenv("XDG_DATA_HOME", "/data")
	if got := certs.DefaultStorage(); got != "file:/data/headgate" {
		t.Errorf("default is %q, want file:/data/headgate", got)
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/ann")
	if got := certs.DefaultStorage(); got != "file:/home/ann/.local/share/headgate" {
		t.Errorf("default is %q", got)
	}
}
