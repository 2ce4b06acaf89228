package access

import (
	"net/http"

	"headgate/gateway/wire"
)

// A Guard refuses requests that change something and come from pages of other
// origins. It may be used by several goroutines at once. Nil, and one that is off,
// refuses nothing.
type Guard struct{ protection *http.CrossOriginProtection }

// NewCrossOrigin returns the Guard of c. Errors are those of Validate.
func NewCrossOrigin(c CrossOrigin) (*Guard, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if !c.Enabled() {
		return &Guard{}, nil
	}
	p := http.NewCrossOriginProtection()
	for _, origin := range c.Trusted {
		if err := p.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return &Guard{p}, nil
}

// Check returns why r is to be refused (403), nil if it is not: exactly what
// net/http.CrossOriginProtection says of it. host is what the client has asked for,
// with its port. GET, HEAD and OPTIONS always pass, and cost nothing; an app must
// not change anything on them.
func (g *Guard) Check(r *wire.Request, host string) error {
	if g == nil || g.protection == nil {
		return nil
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	h := make(http.Header, 2)
	for _, name := range [...]string{"Sec-Fetch-Site", "Origin"} {
		if v, ok := r.Fields.Lookup(name); ok {
			h[name] = []string{v}
		}
	}
	return g.protection.Check(&http.Request{Method: r.Method, Host: host, Header: h})
}
