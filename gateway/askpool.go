package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"headgate/gateway/config"
	"headgate/gateway/wire"
	"headgate/routing"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// atPool asks an app behind this gateway, as a request of a client would reach it:
// the same queue, members and retries.
func (g *generation) atPool(u *url.URL) func(ctx context.Context, name string) (status int, err error) {
	p := g.pools[u.Host]
	path, pathErr := routing.CanonicalPath(askPath(u))
	host := g.hostOf(u.Host)
	return func(ctx context.Context, name string) (int, error) {
		switch {
		case p == nil:
			return 0, fmt.Errorf("pool %q is not defined", u.Host)
		case pathErr != nil:
			return 0, pathErr
		}
		r := &wire.Request{Method: http.MethodGet, Major: 1, Minor: 1, Fields: wire.Fields{{Name: "User-Agent", Value: "headgate"}}}
		x := &exchange{ctx: ctx, r: r, id: requestID(r.Fields)}
		x.req = askRequest(u, path, host, name, x.id)
		x.req.Header = x                                                          // so that members of every protocol are told
		x.asked.Client, x.asked.Priority = x.client.Addr(), upstream.PriorityHigh // a handshake waits for it
		ans, err := (&passTo{pool: p}).send(x)
		if err != nil {
			return 0, errors.New(upstreamFailure(err).cause)
		}
		defer ans.close()
		_, _ = io.CopyN(io.Discard, ans.Body, askAnswer) // lets the worker finish
		return ans.Status, nil
	}
}

func askPath(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

// hostOf is the host by which a pool's app is surely known: the first that a site
// lists whose routes pass to it. Frameworks refuse a request for a host that they
// do not know. "" is none: the app answers for every host, the asked name too.
func (g *generation) hostOf(pool string) string {
	for _, s := range g.conf.Sites {
		if !slices.ContainsFunc(s.Routes, func(r config.Route) bool { return r.Uses(pool) }) {
			continue
		}
		for _, h := range s.Hosts {
			if !strings.HasPrefix(h, "*.") {
				return h
			}
		}
	}
	return ""
}

// askRequest is what the app sees. It is https, since apps send plain http
// elsewhere, and comes from the loopback. No client can send askHeader.
func askRequest(u *url.URL, path, host, name, id string) uwsgi.Request {
	if host == "" {
		host = name
	}
	query := withDomain(u.RawQuery, name)
	return uwsgi.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", Scheme: "https",
		Host: host, ServerName: host, ServerPort: "443",
		URI: askPath(u) + "?" + query, PathInfo: path, Query: query,
		Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0),
		Extra: []uwsgi.Var{
			{Key: "HTTP_X_HEADGATE_ASK", Value: "certificate"},
			{Key: "HTTP_X_REQUEST_ID", Value: id},
			{Key: "HTTP_X_FORWARDED_FOR", Value: "127.0.0.1"},
			{Key: "HTTP_X_FORWARDED_PROTO", Value: "https"},
			{Key: "HTTP_X_FORWARDED_HOST", Value: host},
		},
	}
}

// askHeader marks a question of the gateway's own. What clients send under that
// name goes nowhere.
const askHeader = "X-Headgate-Ask"

// checkHeader marks an active check, likewise.
const checkHeader = "X-Headgate-Check"
