package certs_test

import (
	"slices"
	"strings"
	"testing"

	"headgate/tls/certs"
)

func TestIssuersFor(t *testing.T) {
	dns := certs.ACMEOptions{Challenges: []certs.ChallengeOptions{{Type: "http-01"}, {Type: "dns-01", Command: []string{"hook"}}}}
	second := certs.Options{Issuers: []certs.NamedACME{{Name: "zerossl"}, {Name: "hook", ACMEOptions: dns}}}
	asks := certs.Options{OnDemand: certs.OnDemandOptions{Ask: "https://app.example.com/ask"}}
	asksDNS := asks
	asksDNS.Issuers = second.Issuers
	for _, tt := range []struct {
		o          certs.Options
		list, host string
		want       string // issuers, or an error that begins with "!"
	}{
		{certs.Options{}, "", "localhost", "internal"},
		{certs.Options{}, "auto", "Shop.LOCALHOST.", "internal"},
		{certs.Options{}, "auto", "*.localhost", "internal"},
		{certs.Options{}, "auto", "shop.internal", "internal"},
		{certs.Options{}, "auto", "*.internal", "internal"},
		{certs.Options{}, "auto", "127.0.0.1", "internal"},
		{certs.Options{}, "auto", "[2001:db8::1]", "internal"},
		{certs.Options{}, "auto", "", "internal"},
		{asks, "auto", "", "acme"},
		{certs.Options{}, "auto", "shop.example.com", "acme"},
		{second, "auto", "Shop.Example.Com.", "acme zerossl hook"},
		{certs.Options{}, "auto", "intranet", "!no public authority certifies intranet"},
		{certs.Options{}, "auto internal", "intranet", "internal"},
		{certs.Options{}, "auto internal", "shop.example.com", "acme internal"},

		{certs.Options{}, "internal", "shop.example.com", "internal"},
		{certs.Options{}, "internal", "", "internal"},
		{certs.Options{}, "none", "localhost", ""},
		{certs.Options{}, "acme", "localhost", "acme"},
		{certs.Options{}, "acme", "192.0.2.1", "acme"},
		{certs.Options{}, "acme", "intranet", "acme"},
		{second, "zerossl acme auto", "shop.example.com", "zerossl acme hook"},
		{second, "zerosl", "shop.example.com", `!"zerosl" is not an issuer`},

		{certs.Options{}, "auto", "*.example.com", "!*.example.com needs the challenge dns-01"},
		{certs.Options{}, "acme", "*.example.com", "!*.example.com needs the challenge dns-01"},
		{certs.Options{}, "acme internal", "*.example.com", "internal"},
		{certs.Options{ACME: dns}, "acme", "*.example.com", "acme"},
		{certs.Options{ACME: certs.ACMEOptions{Challenges: []certs.ChallengeOptions{{Type: "dns-persist-01"}}}}, "", "*.example.com", "acme"},
		{second, "auto", "*.example.com", "hook"},
		{second, "zerossl", "*.example.com", "!*.example.com needs the challenge dns-01"},
		{asks, "acme", "*.example.com", "acme"},
		{asksDNS, "auto", "*.example.com", "hook"},

		{certs.Options{}, "acme", "", "!nobody says which names"},
		{certs.Options{}, "acme internal", "", "internal"},
		{asks, "acme", "", "acme"},
		{asks, "internal", "", "internal"},
	} {
		for _, where := range []string{"options", "site"} {
			o, site := tt.o, certs.SiteOptions{}
			if where == "site" {
				site.Issuer, o.Issuer = strings.Fields(tt.list), []string{"none"}
				if tt.list == "" {
					continue
				}
			} else {
				o.Issuer = strings.Fields(tt.list)
			}
			got, err := o.IssuersFor(site, tt.host)
			if want, ok := strings.CutPrefix(tt.want, "!"); ok {
				if err == nil || !strings.HasPrefix(err.Error(), "issuer: "+want) || got != nil {
					t.Errorf("%s: issuers of %q for %q = %v, %v; want the error issuer: %s", where, tt.list, tt.host, got, err, want)
				}
				continue
			}
			if err != nil || !slices.Equal(got, strings.Fields(tt.want)) {
				t.Errorf("%s: issuers of %q for %q = %v, %v; want %s", where, tt.list, tt.host, got, err, tt.want)
			}
		}
	}
}

func TestIssuersForKeepsItsInput(t *testing.T) {
	o := certs.Options{Issuers: []certs.NamedACME{{Name: "a"}, {Name: "b", ACMEOptions: certs.ACMEOptions{Challenges: []certs.ChallengeOptions{{Type: "dns-01"}}}}}, Issuer: []string{"a", "b"}}
	if _, err := o.IssuersFor(certs.SiteOptions{}, "*.example.com"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.Issuer, []string{"a", "b"}) || o.Issuers[0].Name != "a" {
		t.Errorf("the options changed: %+v", o)
	}
}

func TestSiteOptionsValidate(t *testing.T) {
	for _, tt := range []struct {
		s    certs.SiteOptions
		want []string
	}{
		{certs.SiteOptions{}, nil},
		{certs.SiteOptions{Issuer: []string{"acme", "anything"}, MinVersion: "1.3"}, nil},
		{certs.SiteOptions{ClientAuth: certs.ClientAuth{CA: "/ca.pem", Depth: -1, Mode: "request", CRL: "/crl", Certificate: true}}, nil},
		{certs.SiteOptions{Issuer: []string{"acme", "acme", "none"}, MinVersion: "1.0"}, []string{"issuer[1]: ", "issuer[2]: ", `min_version: "1.0"`}},
		{certs.SiteOptions{ClientAuth: certs.ClientAuth{Certificate: true}}, []string{"client_auth.ca: is missing"}},
		{certs.SiteOptions{ClientAuth: certs.ClientAuth{Depth: 2, Mode: "always"}}, []string{`client_auth.mode: "always"`, "client_auth.ca: is missing"}},
	} {
		wantFaults(t, tt.s.Validate(), tt.want...)
	}
}
