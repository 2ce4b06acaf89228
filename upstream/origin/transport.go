package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Transport sends requests to one member. It is safe for concurrent use and
// limits nothing. It has goroutines only while it has connections.
type Transport struct {
	network, addr   string
	name            string // addr, for people
	http2           bool
	connectTimeout  time.Duration
	responseTimeout time.Duration
	dialer          net.Dialer
	http            *http.Transport // makes the connections' HTTP; its own pool is not used

	spoke  atomic.Bool // there was an answer in the right protocol
	idle   idleLinks
	shared sharedLinks
}

// Bounds of what a member may say.
const (
	maxHeadBytes  = 64 << 10
	maxFields     = 512
	maxInterim    = 16
	streamBuffer  = 256 << 10        // HTTP/2: of a response's body that nobody has read yet
	pingAfter     = 15 * time.Second // HTTP/2: a connection that says nothing for so long is asked whether it lives
	pingTime      = 5 * time.Second
	maxCheckBytes = 64 << 10
)

// NewTransport returns a transport to a member: network is "unix" with a path,
// or with "\x00name" in the abstract namespace, or "tcp" with a host and a port.
// It opens no connection and starts nothing.
func NewTransport(network, addr string, o Options) (*Transport, error) {
	t := &Transport{
		network: network, addr: addr, name: addr, http2: o.HTTP2,
		connectTimeout:  timeoutOr(o.ConnectTimeout, DefaultConnectTimeout),
		responseTimeout: timeoutOr(o.ResponseTimeout, DefaultResponseTimeout),
	}
	switch network {
	case "unix":
		if name, ok := strings.CutPrefix(addr, "\x00"); ok {
			t.addr = "@" + name
		}
		t.name = "unix:" + t.addr
	case "tcp":
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("address %q: it is not a host with a port, such as 127.0.0.1:8000", addr)
		}
	default:
		return nil, fmt.Errorf("network %q: a member is reached by unix or tcp", network)
	}
	t.dialer = net.Dialer{Timeout: max(t.connectTimeout, 0)}
	t.http = t.newHTTP()
	return t, nil
}

// newHTTP returns what makes HTTP of a connection that exists.
func (t *Transport) newHTTP() *http.Transport {
	h := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return handOver(ctx), nil },
		DisableCompression:     true,
		IdleConnTimeout:        idleTime, // of HTTP/2
		ResponseHeaderTimeout:  max(t.responseTimeout, 0),
		MaxResponseHeaderBytes: maxHeadBytes,
		Protocols:              new(http.Protocols),
	}
	if !t.http2 {
		h.Protocols.SetHTTP1(true)
		return h
	}
	h.Protocols.SetUnencryptedHTTP2(true)
	h.HTTP2 = &http.HTTP2Config{
		MaxReceiveBufferPerStream: streamBuffer,
		SendPingTimeout:           pingAfter,
		PingTimeout:               pingTime,
		WriteByteTimeout:          max(t.responseTimeout, 0),
	}
	return h
}

// CloseIdle closes the connections that are kept for later requests.
func (t *Transport) CloseIdle() {
	t.idle.clear()
	t.shared.clear()
}

// Do sends req and returns once the final head of the response is in; interim
// responses go to req.Interim before. The error is always an *Error. The caller
// closes the Body of the response, also after a 101, whose Conn he closes too.
//
// When ctx ends, Do and a Read of the body return with KindCanceled, and the
// connection, or the stream of HTTP/2, is closed. A Conn outlives it.
//
// Do sends a request more than once only if the member cannot have run it, or if
// it is idempotent and the connection, which had been kept, was stale; never
// more than twice.
func (t *Transport) Do(ctx context.Context, req *Request) (*Response, error) {
	resp, e := t.do(ctx, req)
	if e != nil {
		return nil, e
	}
	return resp, nil
}

func (t *Transport) do(ctx context.Context, req *Request) (*Response, *Error) {
	if ctx.Err() != nil {
		return nil, canceled(&Error{Stage: StageDial, Addr: t.name, NeverRan: true}, ctx)
	}
	out, e := t.outgoing(req)
	if e != nil {
		return nil, e
	}
	l, e := t.kept(ctx, req)
	if e != nil {
		return nil, e
	}
	body := req.body()
	if l != nil {
		x := t.newExchange(ctx, req, l)
		resp, e := x.run(out, body)
		if e == nil || !x.again(e) {
			return resp, e
		}
		if x.touched() {
			if body, e = t.rewind(req, e); e != nil {
				return nil, e
			}
		}
	}
	if l, e = t.fresh(ctx); e != nil {
		if l = t.instead(req, e); l == nil {
			return nil, e
		}
	}
	return t.newExchange(ctx, req, l).run(out, body)
}

// kept returns a connection that another request has left, or is using. Without
// one it is nil for HTTP/1.1, and a new one for HTTP/2.
func (t *Transport) kept(ctx context.Context, req *Request) (*link, *Error) {
	if t.http2 {
		return t.shared.take(ctx, t)
	}
	return t.idle.take(keptFor(req)), nil
}

// keptFor returns how long a connection may have been idle that req goes on. The
// member may be closing it: what happens then must be known or not matter. It is
// not known where a body alone may have been left unread. That is no rare chance:
// a gunicorn that reloads resets what comes on connections of its old workers.
func keptFor(req *Request) time.Duration {
	if req.replayable() && (req.idempotent() || req.body() == nil) {
		return idleTime
	}
	return 0
}

// instead returns a kept connection for req where e says that no port is left for
// a new one, and nil otherwise: so soon after its last use it is hardly closed.
func (t *Transport) instead(req *Request, e *Error) *link {
	if t.http2 || !req.replayable() || !errors.Is(e, syscall.EADDRNOTAVAIL) {
		return nil
	}
	return t.idle.take(briefly)
}

func (t *Transport) fresh(ctx context.Context) (*link, *Error) {
	if t.http2 {
		return t.shared.take(ctx, t)
	}
	return t.open(ctx)
}

// rewind starts the body again; without that it returns the error there was.
func (t *Transport) rewind(req *Request, e *Error) (io.Reader, *Error) {
	if req.Rewind == nil {
		return nil, e
	}
	body, err := req.Rewind()
	if err != nil {
		return nil, t.bodyFailure(StageSend, err, e.NeverRan)
	}
	return body, nil
}
