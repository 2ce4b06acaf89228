package gateway

import (
	"net"
	"sync/atomic"
)

// altSvc makes the field that tells clients of HTTP/3 (RFC 9114, 3.1.1). It
// remembers the last one, because a door is reached by one port. The zero value
// is ready to use.
type altSvc struct{ last atomic.Pointer[altSvcPort] }

type altSvcPort struct {
	port  string
	value string
}

// header returns the field's value for a client that reached us as host: HTTP/3
// is at the port that the client used, which behind a mapped port is not the
// local one.
func (a *altSvc) header(host string) string {
	port := "443"
	if i := len(host) - 1; i >= 0 && '0' <= host[i] && host[i] <= '9' {
		if _, p, err := net.SplitHostPort(host); err == nil {
			port = p
		}
	}
	if l := a.last.Load(); l != nil && l.port == port {
		return l.value
	}
	l := &altSvcPort{port: port, value: `h3=":` + port + `"; ma=86400`}
	a.last.Store(l)
	return l.value
}
