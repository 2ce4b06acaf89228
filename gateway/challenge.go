package gateway

import (
	"net/http"
	"strings"
)

// challengePath is where authorities look for the answers to http-01 (RFC 8555
// section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// answersChallenge makes the answer to an authority the route of x, if x is a
// question that somebody waits for. An authority asks plain http, and whatever
// name is about to get its certificate: no site needs to know it. All else goes
// its ordinary way, and with it the challenges of an app's own ACME client.
func (x *exchange) answersChallenge() bool {
	if x.d.secure || !strings.HasPrefix(x.path, challengePath) {
		return false
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return false
	}
	text, ok := x.d.g.certs.HTTPChallenge(x.context(), x.path[len(challengePath):])
	if !ok {
		return false
	}
	x.route = &route{
		name: challengePath, writeIdle: x.gen.unrouted.writeIdle,
		action: respondWith{status: http.StatusOK, contentType: "text/plain", body: text},
	}
	return true
}
