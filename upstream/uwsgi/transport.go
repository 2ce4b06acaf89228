package uwsgi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Options.
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 60 * time.Second
)

// Transport sends requests to one member. It is safe for concurrent use, limits
// nothing, and has no goroutine of its own; what it learns of the member
// (dialect, buffer-size) it keeps for as long as it lives. On Linux it has a
// descriptor for those who wait for answers, until CloseIdle.
//
// Every request gets a connection of its own, except that gunicorn's connections
// are used again by the rules of its keep-alive.
type Transport struct {
	addr            Address
	name            string // addr, for people
	sockaddr        sockaddr
	tls             *tls.Config
	constants       *Constants
	fixed           Dialect // of the options
	connectTimeout  time.Duration
	responseTimeout time.Duration
	dialer          net.Dialer

	found atomic.Uint32 // the Dialect that was found out
	spoke atomic.Bool   // there was an answer that only a uwsgi server gives
	sizes bufferSizes
	idle  idleConns

	holds   bool // bodies are held back until the kernel says that the variables were read
	watch   bool // flights are kept
	flights flights

	poller    poller
	buffers   buffers
	scratches sync.Pool
}

// scratch is the memory of one Do before there is a response.
type scratch struct {
	enc Encoder
}

// NewTransport returns a transport to addr. It reads the files of o.TLS, opens
// no connection and starts nothing. A zero timeout is the default, a negative
// one none.
func NewTransport(addr Address, o Options) (*Transport, error) {
	if addr.Network != "unix" && addr.Network != "tcp" {
		return nil, fmt.Errorf("network %q: a member is reached by unix or tcp", addr.Network)
	}
	t := &Transport{
		addr: addr, name: addr.String(), constants: NewConstants(o), fixed: o.Dialect,
		connectTimeout:  timeoutOr(o.ConnectTimeout, DefaultConnectTimeout),
		responseTimeout: timeoutOr(o.ResponseTimeout, DefaultResponseTimeout),
	}
	if addr.Network == "unix" {
		t.sockaddr = unixAddress(addr.Addr)
	}
	t.holds = kernelTells && addr.Network == "unix" && !o.TLS.Enabled
	t.watch = o.Watch && t.holds
	t.dialer = net.Dialer{Timeout: max(t.connectTimeout, 0), KeepAlive: -1}
	if o.TLS.Enabled {
		conf, err := o.TLS.config(addr)
		if err != nil {
			return nil, err
		}
		t.tls = conf
	}
	return t, nil
}

func timeoutOr(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return d
}

func (t *Transport) responseTimeoutOr(d time.Duration) time.Duration {
	if t.responseTimeout <= 0 {
		return d
	}
	return t.responseTimeout
}

// config reads the files and returns what a handshake needs.
func (o TLSOptions) config(addr Address) (*tls.Config, error) {
	conf := &tls.Config{ServerName: o.ServerName, MinVersion: tls.VersionTLS12}
	if conf.ServerName == "" {
		conf.ServerName = addr.Host()
	}
	if conf.ServerName == "" {
		return nil, errors.New("tls.server_name: a unix socket has no host name to check the certificate against: name it")
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: %s has no PEM certificate", o.CA)
		}
	}
	if o.Cert != "" || o.Key != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert, tls.key: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// Dialect returns how the member is spoken to: as configured, or as found out,
// or DialectAuto while nothing is known.
func (t *Transport) Dialect() Dialect {
	if t.fixed != DialectAuto {
		return t.fixed
	}
	return Dialect(t.found.Load())
}

// CloseIdle closes what is kept for later requests, connections above all.
func (t *Transport) CloseIdle() {
	t.idle.clear()
	t.poller.close()
}

// Do sends req and returns once the final head of the response is in; interim
// responses go to req.Interim before. The error is always an *Error. The caller
// closes the Body of the response, also after a 101, whose Conn he closes too.
//
// When ctx ends, Do and a Read of the body return with KindCanceled, and the
// connection is closed. A Conn outlives it. By unix sockets, nobody waits for the
// end of ctx (Done) before a read or a write has to wait.
//
// Do does not wait for a place in a full listen backlog: the error says Full at
// once, and it is for the caller to try again.
//
// On unix sockets of Linux Do holds the body of a request back until the kernel
// says that a worker has read the variables, at most for the response timeout:
// a request that was waiting in the listen backlog when the server went is then
// known to have never run, whether it has a body or not.
//
// Do sends a request more than once only if no worker can have run it, or if it
// is idempotent and a connection of gunicorn's keep-alive was stale; never more
// than twice.
func (t *Transport) Do(ctx context.Context, req *Request) (*Response, error) {
	s := t.scratch()
	defer t.scratches.Put(s)
	resp, err := t.do(ctx, s, req)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (t *Transport) scratch() *scratch {
	if s, ok := t.scratches.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

func (t *Transport) do(ctx context.Context, s *scratch, req *Request) (*Response, *Error) {
	if e := t.ended(ctx); e != nil {
		return nil, e
	}
	if t.Dialect() == DialectAuto && DialectMatters(req.PathInfo) {
		d, e := t.ask(ctx)
		if e != nil {
			return nil, e
		}
		t.found.CompareAndSwap(uint32(DialectAuto), uint32(d))
	}
	dialect := t.Dialect()
	packet, err := s.enc.Encode(req, t.constants, dialect, dialect == DialectGunicorn && t.idle.full())
	if err != nil {
		return nil, t.encodeFailure(err)
	}
	body := req.Body
	if dialect == DialectGunicorn && mayReuse(req) {
		if c := t.idle.take(); c != nil {
			x := t.newExchange(ctx, c)
			resp, e := x.run(req, packet, body)
			if e == nil || !x.stale() {
				return resp, e
			}
			if x.touched() {
				if body, e = t.rewind(req, e); e != nil {
					return nil, e
				}
			}
		}
	}
	x, resp, e := t.attempt(ctx, req, packet, body)
	if x != nil && e != nil {
		return t.judge(ctx, s, req, packet, x, e)
	}
	return resp, e
}

// ended returns the error of a ctx that is over before anything began.
func (t *Transport) ended(ctx context.Context) *Error {
	if ctx.Err() == nil {
		return nil
	}
	return canceled(&Error{Stage: StageDial, Addr: t.name, NeverRan: true}, ctx)
}

// attempt sends the request on a fresh connection. Without one there is no
// exchange.
func (t *Transport) attempt(ctx context.Context, req *Request, packet []byte, body io.Reader) (*exchange, *Response, *Error) {
	c, e := t.dial(ctx)
	if e != nil {
		return nil, nil, e
	}
	x := t.newExchange(ctx, c)
	resp, e := x.run(req, packet, body)
	return x, resp, e
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

func (t *Transport) encodeFailure(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Stage: StageEncode, Kind: KindTooLarge, Cause: "the request does not fit the protocol", Err: err, NeverRan: true}
	}
	e.Addr = t.name
	return e
}

// learn takes from a response what it tells of its server. gunicorn names itself
// and always says what becomes of the connection; uWSGI never does the latter.
func (t *Transport) learn(h *head, size int) {
	t.sizes.pass(size)
	if !t.spoke.Load() {
		t.spoke.Store(true)
	}
	if t.fixed != DialectAuto {
		return
	}
	found := Dialect(t.found.Load())
	switch spoken := h.keepAlive || h.closing; {
	case h.gunicorn && spoken:
		found = DialectGunicorn
	case !spoken && !h.gunicorn:
		found = DialectUWSGI
	}
	if found != Dialect(t.found.Load()) {
		t.found.Store(uint32(found))
	}
}

// path is a unix address as people know it.
func (t *Transport) path() string { return strings.TrimPrefix(t.name, "unix:") }

// Idempotent reports whether a request of that method may run twice without
// harm (RFC 9110, 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
