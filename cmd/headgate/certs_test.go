package main

import (
	"strings"
	"testing"
	"time"

	"headgate/gateway/stats"
)

func TestCertificatesInWords(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	day := 24 * time.Hour
	for name, row := range map[string]struct {
		cert stats.Certificate
		want string // columns, "|" between them
	}{
		"good": {
			stats.Certificate{Names: []string{"a.example", "*.a.example"}, Source: "acme", Issuer: `CN=R11\, the one+OU=x,O=Let's Encrypt,C=US`, Challenge: "dns-01", NotAfter: now.Add(62*day + time.Hour), RenewAt: now.Add(32 * day)},
			"a.example *.a.example|acme; R11, the one|2027-01-24, in 62 days|2026-12-25, in 32 days|dns-01|ok",
		},
		"none yet": {
			stats.Certificate{Names: []string{"b.example"}, Source: "acme", OnDemand: true},
			"b.example (on demand)|acme|-|-|-|no certificate yet: ordering",
		},
		"failing": {
			stats.Certificate{Names: []string{"c.example"}, Source: "acme", Error: "no A record: add one\nsecond", RetryAt: now.Add(125 * time.Minute)},
			"c.example|acme|-|-|-|failing, next try at 14:05: no A record: add one; second",
		},
		"failing for long": {
			stats.Certificate{Names: []string{"c.example"}, Source: "acme", Issuer: "O=No Name", Error: "rate limited", NotAfter: now.Add(-3 * day), RenewAt: now.Add(-day), RetryAt: now.Add(day)},
			"c.example|acme; O=No Name|2026-11-20, expired 3 days ago|now|-|failing, next try at 2026-11-24 12:00: rate limited",
		},
		"old file": {
			stats.Certificate{Names: []string{"1.example", "2.example", "3.example", "4.example"}, Source: "file", Issuer: "CN=CA", NotAfter: now.Add(-90 * time.Minute)},
			"1.example 2.example 3.example and 1 more|file; CA|2026-11-23, expired 90 minutes ago|by hand|-|expired: replace the file",
		},
		"revoked": {
			stats.Certificate{Names: []string{"r.example"}, Source: "file", Issuer: "CN=CA", NotAfter: now.Add(5 * time.Hour), OCSP: "revoked"},
			"r.example|file; CA|2026-11-23, in 5 hours|by hand|-|revoked by who signed it: replace it",
		},
	} {
		var b strings.Builder
		if err := printCerts(&b, []stats.Certificate{row.cert}, now); err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(strings.TrimSuffix(b.String(), "\n"), "\n")
		var got []string
		for column := range strings.SplitSeq(line, "  ") {
			if column = strings.TrimSpace(column); column != "" {
				got = append(got, column)
			}
		}
		if got := strings.Join(got, "|"); got != row.want {
			t.Errorf("%s: got %s, want %s", name, got, row.want)
		}
	}
}
