package gatewaytest

import "testing"

// Protocol is a way to speak HTTP to the gateway.
type Protocol int

// The protocols.
const (
	H1  Protocol = iota // HTTP/1.1
	H1S                 // HTTP/1.1 over TLS
	H2                  // HTTP/2 over TLS
	H2C                 // HTTP/2 in clear text, by prior knowledge
	H3                  // HTTP/3
)

// Protocols lists all of them.
func Protocols() []Protocol { return []Protocol{H1, H1S, H2, H2C, H3} }

// String returns the short name.
func (p Protocol) String() string {
	return [...]string{"h1", "h1s", "h2", "h2c", "h3"}[p]
}

// Secure reports whether the protocol runs over TLS.
func (p Protocol) Secure() bool { return p == H1S || p == H2 || p == H3 }

// Major is the major version of HTTP.
func (p Protocol) Major() int {
	return [...]int{1, 1, 2, 2, 3}[p]
}

// Proto is the version as SERVER_PROTOCOL and the access log have it.
func (p Protocol) Proto() string {
	return [...]string{"HTTP/1.1", "HTTP/1.1", "HTTP/2.0", "HTTP/2.0", "HTTP/3.0"}[p]
}

// Scheme is http or https.
func (p Protocol) Scheme() string {
	if p.Secure() {
		return "https"
	}
	return "http"
}

// listener is what Gateway.Address calls the protocol's listener.
func (p Protocol) listener() string {
	if p == H3 {
		return "http3"
	}
	return p.Scheme()
}

// Each runs body once for each protocol, all against one gateway with conf.
func Each(t *testing.T, conf string, body func(t *testing.T, c *Client)) {
	t.Helper()
	g := Start(t, conf)
	for _, p := range Protocols() {
		t.Run(p.String(), func(t *testing.T) { body(t, g.Client(t, p)) })
	}
}

// EachAlone runs body once for each protocol, at once, each with whatever body
// starts for itself.
func EachAlone(t *testing.T, body func(t *testing.T, p Protocol)) {
	t.Helper()
	for _, p := range Protocols() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			body(t, p)
		})
	}
}
