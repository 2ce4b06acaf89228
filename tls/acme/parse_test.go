package acme_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	hg "headgate/tls/acme"
	"headgate/tls/certs"
)

func FuzzAccount(f *testing.F) {
	f.Add([]byte(`{"key": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIjfG1sJnQGOBLjHbPmXKCn7KQzXMPAS1ewHjhcJhJVb\n-----END PRIVATE KEY-----\n", "location": "https://ca.test/1", "contact": ["mailto:a@b.test"]}`))
	f.Add([]byte(`{"key": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return // RSA keys of any size take any time
		}
		if _, err := hg.AgainAccount(data); err != nil {
			return
		}
		if same, err := hg.AgainAccount(data); !same || err != nil {
			t.Errorf("%q changes when it is written: %v", data, err)
		}
	})
}

func FuzzChain(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("no PEM"))
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, err := hg.ParseChain(text)
		if err == nil && len(chain) == 0 {
			t.Errorf("%q is a chain of nothing", text)
		}
	})
}

func FuzzRenewal(f *testing.F) {
	f.Add([]byte(`{"suggestedWindow": {"start": "2026-01-02T03:04:05Z", "end": "2026-01-03T03:04:05Z"}, "explanationURL": "https://ca.test"}`))
	f.Add([]byte(`{"suggestedWindow": {"start": "0001-01-02T03:04:05Z", "end": "9999-01-03T03:04:05Z"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		start, end, at, err := hg.ParseRenewal(text)
		if err == nil && (at.Before(start) || at.After(end)) {
			t.Errorf("%q: %v is not between %v and %v", text, at, start, end)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, v := range []string{"", "0", "120", "-1", "99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon"} {
		f.Add(v)
	}
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if at := hg.RetryAfter(value, now); at.After(now.AddDate(0, 0, 7)) {
			t.Errorf("%q: %v is later than any limit lasts", value, at)
		}
	})
}

func FuzzSafe(f *testing.F) {
	for _, v := range []string{"", ".", "..", "../../etc/passwd", "ops@example.com", "acme-v02.api.letsencrypt.org/directory", "ä", strings.Repeat("x", 400)} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := hg.Safe(s)
		if got == "" || got[0] == '.' || len(got) > 200 || strings.ContainsAny(got, "/\\\x00\n *:~") {
			t.Errorf("%q becomes %q, which is no part of a key", s, got)
		}
	})
}

func TestSafeKeepsTextsApart(t *testing.T) {
	if got, want := hg.Safe("acme-v02.api.letsencrypt.org/directory"), "acme-v02.api.letsencrypt.org-directory"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	long := strings.Repeat("x", 150)
	for _, pair := range [][2]string{{"a:b", "a;b"}, {"..a", "a"}, {long + "1", long + "2"}, {"", "."}} {
		if a, b := hg.Safe(pair[0]), hg.Safe(pair[1]); a == b {
			t.Errorf("%q and %q both become %q", pair[0], pair[1], a)
		}
	}
}

func FuzzEAB(f *testing.F) {
	f.Add("AQID+/==")
	f.Add(" AQID-_ ")
	f.Fuzz(func(t *testing.T, mac string) {
		got, err := hg.ParseEAB(certs.EAB{KeyID: "x", HMAC: certs.Secret(mac)})
		if err != nil {
			return
		}
		if _, err := base64.RawURLEncoding.DecodeString(got); err != nil {
			t.Errorf("%q becomes %q: %v", mac, got, err)
		}
	})
}
