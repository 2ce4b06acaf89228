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
}

// response is a member's answer, of whichever protocol. The caller closes Body.
type response struct {
	Status        int
	Header        http.Header
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

// do sends the request of x and returns once the head of the answer is in.
func (b *backend) do(ctx context.Context, x *exchange) (response, error) {
	if b.http != nil {
		r, err := b.http.Do(ctx, x.originRequest())
		if err != nil {
			return response{}, err
		}
		return response{Status: r.Status, Header: r.Header, ContentLength: r.ContentLength, Body: r.Body, Conn: r.Conn}, nil
	}
	r, err := b.uwsgi.Do(ctx, &x.req)
	if err != nil {
		return response{}, err
	}
	return response{Status: r.Status, Header: r.Header, ContentLength: r.ContentLength, Body: r.Body, Conn: r.Conn}, nil
}

// originRequest is the request of x for a server that speaks HTTP: the variables
// that the gateway vouches for become fields of the header again.
func (x *exchange) originRequest() *origin.Request {
	q := &x.req
	r := &origin.Request{
		Method: q.Method, Scheme: q.Scheme, Host: q.Host, URI: q.URI, Header: x, Upgrade: q.Upgrade,
		Body: q.Body, ContentLength: q.ContentLength, StopBody: q.StopBody, Rewind: q.Rewind, Interim: q.Interim,
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
