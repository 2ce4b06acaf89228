package acme

import (
	"bytes"
	"net"
	"net/http"
	"time"

	"headgate/tls/certs"
)

// View makes Preflight see another world: names from resolver, and other ports.
func (i *Issuer) View(resolver *net.Resolver, httpPort, tlsPort string) {
	i.view = view{resolver: resolver, httpPort: httpPort, tlsPort: tlsPort}
}

// ServerName is the name under which the answer to tls-alpn-01 is shown.
func ServerName(name string) string { return serverName(name) }

// AgainAccount reads an account of the storage, writes it and reads it again.
func AgainAccount(data []byte) (same bool, err error) {
	acct, err := parseAccount(data)
	if err != nil {
		return false, err
	}
	text, err := encodeAccount(acct)
	if err != nil {
		return false, err
	}
	again, err := parseAccount(text)
	return err == nil && again.Location == acct.Location && len(again.Contact) == len(acct.Contact), err
}

// ParseChain returns the certificates of a chain as an authority sends it.
func ParseChain(text []byte) ([][]byte, error) {
	chain, err := parseChain(text)
	return raw(chain), err
}

// ParseEAB returns the HMAC as it is used.
func ParseEAB(o certs.EAB) (string, error) {
	eab, err := parseEAB(o)
	if eab == nil {
		return "", err
	}
	return eab.MACKey, err
}

// RetryAfter reads the field of that name.
func RetryAfter(value string, now time.Time) time.Time {
	return retryAfter(http.Header{"Retry-After": {value}}, now)
}

// BoundPoll returns what the ACME library sees of the field Retry-After.
func BoundPoll(value string, now time.Time) string {
	h := http.Header{"Retry-After": {value}}
	boundPoll(h, now)
	return h.Get("Retry-After")
}

// ParseRenewal returns the window of renewal information and the time chosen in it.
func ParseRenewal(text []byte) (start, end, at time.Time, err error) {
	s, _, err := parseRenewal(bytes.NewReader(text))
	return s.start, s.end, s.at, err
}

// Safe makes a text one part of a storage key.
func Safe(s string) string { return safe(s) }
