package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"headgate/gateway/stats"
	"headgate/upstream"
	"headgate/upstream/origin"
	"headgate/upstream/uwsgi"
)

// backend is what a pool has of each member: how to speak to it, which is one of
// the two, and what to count.
type backend struct {
	uwsgi    *uwsgi.Transport
	http     *origin.Transport
	counters *stats.MemberCounters
	release  func() // of counters that others have too; nil: it has them alone
}

// response is a member's answer, of whichever protocol. The caller closes Body.
type response struct {
	Status        int
	ContentLength int64 // -1: only the end tells
	Body          responseBody
	Conn          net.Conn // of a 101
}

// responseBody is the body of an answer. Read ends in io.EOF only if it is whole.
type responseBody interface {
	io.ReadCloser
	Abort()         // ends the exchange at once; another goroutine may be reading
	Complete() bool // the rest is in memory: the member is done
}

// dialect is how the member is spoken to, for people.
func (b *backend) dialect() string {
	if b.http != nil {
		return "http"
	}
	return b.uwsgi.Dialect().String()
}

func (b *backend) closeIdle() {
	if b.http != nil {
		b.http.CloseIdle()
		return
	}
	b.uwsgi.CloseIdle()
}

// do sends the request of x and returns once the head of the answer is in, whose
// header is x.out then.
func (b *backend) do(ctx context.Context, x *exchange) (response, error) {
	if b.http != nil {
		r, err := b.http.Do(ctx, x.originRequest())
		if err != nil {
			return response{}, err
		}
		x.takeHeader(r.Header)
		return response{Status: r.Status, ContentLength: r.ContentLength, Body: r.Body, Conn: r.Conn}, nil
	}
	r, err := b.uwsgi.Do(ctx, &x.req)
	if err != nil {
		return response{}, err
	}
	x.takeFields(r.Fields)
	return response{Status: r.Status, ContentLength: r.ContentLength, Body: r.Body, Conn: r.Conn}, nil
}

// takeHeader makes the header of an answer that of a member that speaks HTTP.
func (x *exchange) takeHeader(h http.Header) {
	x.out = x.out[:0]
	for name, values := range h {
		for _, v := range values {
			x.out.Add(name, v)
		}
	}
}

// originRequest is the request of x for a server that speaks HTTP: the variables
// that the gateway vouches for become fields of the header again, and what uwsgi
// members get as SCRIPT_NAME and PATH_INFO becomes X-Forwarded-Prefix and the path.
func (x *exchange) originRequest() *origin.Request {
	q := &x.req
	r := &origin.Request{
		Method: q.Method, Scheme: q.Scheme, Host: q.Host, URI: originTarget(q), Header: x, Upgrade: q.Upgrade,
		Body: q.Body, ContentLength: q.ContentLength, StopBody: q.StopBody, Rewind: q.Rewind, Interim: x.originInterim,
	}
	for _, v := range q.Extra {
		if name, ok := strings.CutPrefix(v.Key, "HTTP_"); ok {
			r.Extra = append(r.Extra, origin.Field{Name: fieldName(name), Value: v.Value})
		}
	}
	if q.ScriptName != "" {
		r.Extra = append(r.Extra, origin.Field{Name: "X-Forwarded-Prefix", Value: q.ScriptName})
	}
	return r
}

// originTarget is the request target for a server that speaks HTTP: the path by
// which the route was chosen, and not what the client wrote, which the server might
// take for another one; with the query as the client sent it.
func originTarget(q *uwsgi.Request) string {
	path := escapePath(q.PathInfo)
	if path == "" { // the mount itself
		path = "/"
	}
	if raw, query, _ := strings.Cut(q.URI, "?"); raw == path && query == q.Query {
		return q.URI
	}
	if q.Query != "" { // as the client sent it, or as it was rewritten
		return path + "?" + q.Query
	}
	return path
}

// escapePath percent-encodes what a decoded path may not carry as it is (RFC 3986,
// 3.3).
func escapePath(path string) string {
	n := 0
	for i := range len(path) {
		if !isPathByte(path[i]) {
			n++
		}
	}
	if n == 0 {
		return path
	}
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(path)+2*n)
	for i := range len(path) {
		if c := path[i]; isPathByte(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}

// isPathByte reports whether c is a slash or of pchar, and no percent sign.
func isPathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/-._~!$&'()*+,;=:@", c) >= 0
}

// fieldName makes X-Request-Id of X_REQUEST_ID.
func fieldName(variable string) string {
	return http.CanonicalHeaderKey(strings.ReplaceAll(variable, "_", "-"))
}

// reach connects to the member, and no more.
func (b *backend) reach(ctx context.Context) error {
	if b.http != nil {
		return b.http.Reach(ctx)
	}
	return b.uwsgi.Reach(ctx)
}

// errNoPing says that a ping proves nothing.
var errNoPing = errors.New("the member answers no ping: uWSGI needs its ping plugin, and gunicorn has none; use check.path")

// check asks the member whether it is fit.
func (b *backend) check(ctx context.Context, o upstream.CheckOptions) error {
	var status int
	var err error
	switch {
	case o.Ping:
		answered, err := b.uwsgi.Ping(ctx)
		if err == nil && !answered {
			err = errNoPing
		}
		return err
	case b.http != nil:
		status, err = b.http.Check(ctx, http.MethodGet, o.Host, o.Path)
	default:
		status, err = b.uwsgi.Check(ctx, uwsgi.CheckRequest{Host: o.Host, URI: o.Path})
	}
	switch {
	case err != nil:
		return err
	case o.Status != 0 && status != o.Status, o.Status == 0 && (status < 200 || status > 399):
		return fmt.Errorf("the check %s was answered with status %d", o.Path, status)
	}
	return nil
}

// watch asks the kernel how many of the requests at the member have been read.
func (b *backend) watch(minAge time.Duration) (busy, unread int, ok bool) {
	if b.uwsgi == nil {
		return 0, 0, false
	}
	return b.uwsgi.Load(minAge)
}

// readStats reads uWSGI's statistics of a member.
func readStats(ctx context.Context, m upstream.Member) (upstream.Load, error) {
	addr, err := statsAddress(m)
	if err != nil {
		return upstream.Load{}, err
	}
	s, err := uwsgi.ReadStats(ctx, addr)
	if err != nil {
		return upstream.Load{}, err
	}
	return upstream.Load{Slots: s.Cores(), Accepting: s.Accepting(), Busy: s.Busy(), Queued: s.ListenQueue}, nil
}

// statsAddress is where the statistics of m are read: a port alone is one at its
// own host.
func statsAddress(m upstream.Member) (uwsgi.Address, error) {
	if !strings.HasPrefix(m.Stats, ":") {
		return uwsgi.ParseAddress(m.Stats)
	}
	host, _, err := net.SplitHostPort(m.Address)
	if err != nil {
		return uwsgi.Address{}, err
	}
	return uwsgi.ParseAddress(net.JoinHostPort(host, m.Stats[1:]))
}

// originInterim is interim for members that speak HTTP.
func (x *exchange) originInterim(status int, h http.Header) {
	var fields []uwsgi.Field
	for name, values := range h {
		for _, v := range values {
			fields = append(fields, uwsgi.Field{Name: name, Value: v})
		}
	}
	x.interim(status, fields)
}
