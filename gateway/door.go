package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// door is one address of the gateway: its sockets, and the servers that speak
// HTTP/1.1, HTTP/2 and HTTP/3 on them. Sockets and connections outlive reloads;
// the servers are replaced for new connections when their settings change.
type door struct {
	g       *Gateway
	address string // as configured
	secure  bool
	port    string // the local port, decimal

	tcp  net.Listener
	udp  *quic.Transport     // nil without HTTP/3; Gateway.reloading guards it
	quic *quic.EarlyListener // nil when there is none that accepts; likewise

	servers atomic.Pointer[servers]
	alt     altSvc

	closed    chan struct{} // closed when the door stops accepting
	closeOnce sync.Once
	accepting sync.WaitGroup
	serving   sync.WaitGroup // every server that was ever current

	mu  sync.Mutex // guards the fields below
	all []*servers

	open, accepted     atomic.Int64 // TCP connections
	openUDP, acceptUDP atomic.Int64 // QUIC connections
	streams            atomic.Int64 // HTTP/3 requests
}

// serverSettings are what a server cannot change while it runs. They are compared.
type serverSettings struct {
	headBytes     int
	headerTimeout time.Duration
	idleTimeout   time.Duration
}

// servers speak HTTP on the connections of one door, all with the same settings.
type servers struct {
	settings serverSettings
	conns    chan net.Conn // what the door accepts
	done     chan struct{} // closed when conns gets no more
	endOnce  sync.Once
	http     *http.Server
	h3       *http3.Server
}

// maxStreams bounds the requests at once on one h2 or h3 connection.
const maxStreams = 128

// headSlack is what a server reads of a head beyond the limits, so that the
// gateway itself can answer with its page which field was too big.
const headSlack = 64 << 10

func (d *door) scheme() string {
	if d.secure {
		return "https"
	}
	return "http"
}

// peer returns the address of the other end of the request's connection.
func (d *door) peer(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{} // not an IP socket: nobody in particular
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// configure makes the servers for new connections have the given settings.
func (d *door) configure(s serverSettings) {
	if cur := d.servers.Load(); cur != nil && cur.settings == s {
		return
	}
	sv := d.newServers(s)
	d.mu.Lock()
	d.all = append(d.all, sv)
	d.mu.Unlock()
	d.serving.Go(func() { sv.http.Serve(sv) }) // ends when conns gets no more
	if old := d.servers.Swap(sv); old != nil {
		old.end() // its connections go on
	}
}

func (d *door) newServers(s serverSettings) *servers {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(d.secure)
	protocols.SetUnencryptedHTTP2(!d.secure)
	sv := &servers{settings: s, conns: make(chan net.Conn), done: make(chan struct{})}
	sv.http = &http.Server{
		Handler:                      d,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            s.headerTimeout,
		IdleTimeout:                  s.idleTimeout,
		MaxHeaderBytes:               s.headBytes + headSlack,
		Protocols:                    protocols,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 16 << 10, MaxReceiveBufferPerStream: 256 << 10, WriteByteTimeout: s.idleTimeout},
		ConnState:                    d.countConn,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			if !d.secure {
				return ctx
			}
			return withConnection(ctx)
		},
		ErrorLog: d.g.httpLog,
	}
	sv.h3 = &http3.Server{
		Handler:        d,
		MaxHeaderBytes: s.headBytes + headSlack,
		IdleTimeout:    s.idleTimeout,
		Logger:         d.g.h3Log,
	}
	return sv
}

func (d *door) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		d.open.Add(1)
		d.accepted.Add(1)
	case http.StateClosed, http.StateHijacked:
		d.open.Add(-1)
	}
}

// Accept implements net.Listener for the http.Server.
func (s *servers) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the door closes the socket.
func (s *servers) Close() error { return nil }

// Addr implements net.Listener.
func (s *servers) Addr() net.Addr { return &net.TCPAddr{} }

// start accepts connections until stopAccepting.
func (d *door) start() {
	d.accepting.Go(d.acceptTCP)
	if d.quic != nil {
		d.startQUIC()
	}
}

func (d *door) startQUIC() {
	l := d.quic
	d.accepting.Go(func() { d.acceptQUIC(l) })
}

// stopQUIC takes no new HTTP/3 connections; those there are go on.
func (d *door) stopQUIC() {
	d.quic.Close()
	d.quic = nil
}

func (d *door) acceptTCP() {
	var pause time.Duration
	for {
		c, err := d.tcp.Accept()
		switch {
		case err == nil:
			pause = 0
			d.hand(c)
			continue
		case errors.Is(err, net.ErrClosed), isTimeout(err): // stopAccepting
			return
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		d.g.log.Error("cannot accept connections", "listener", d.address, "err", err, "cure", "raise the limit of open files (ulimit -n, LimitNOFILE=)")
		select {
		case <-time.After(pause):
		case <-d.closed:
		}
	}
}

// hand gives c to the servers of the moment.
func (d *door) hand(c net.Conn) {
	if d.secure {
		c = tls.Server(c, d.g.tlsConfig)
	}
	for {
		sv := d.servers.Load()
		select {
		case sv.conns <- c:
			return
		case <-sv.done: // replaced just now
		}
	}
}

func (d *door) acceptQUIC(l *quic.EarlyListener) {
	for {
		c, err := l.Accept(context.Background())
		if err != nil {
			return // closed
		}
		d.acceptUDP.Add(1)
		d.openUDP.Add(1)
		d.serving.Go(func() {
			defer d.openUDP.Add(-1)
			d.servers.Load().h3.ServeQUICConn(c) // why a connection ended is the client's business
		})
	}
}

// stopAccepting takes in what has reached the listen queue, so that nobody who
// connected is refused, and then closes the listeners. UDP goes on for the
// connections that are open.
func (d *door) stopAccepting() {
	d.closeOnce.Do(func() { close(d.closed) })
	refuseNew(d.tcp)
	if l, ok := d.tcp.(interface{ SetDeadline(time.Time) error }); ok {
		l.SetDeadline(time.Now().Add(acceptLast)) // an error shows in Accept
	} else {
		d.tcp.Close()
	}
	if d.quic != nil {
		d.stopQUIC()
	}
	d.accepting.Wait()
	d.tcp.Close()
	d.servers.Load().end()
}

// acceptLast is how long a door that closes still takes connections.
const acceptLast = 100 * time.Millisecond

// shutdown lets requests that run end, says GOAWAY on h2 and h3, and closes
// connections that are idle. It returns ctx's error when that is not done in time.
func (d *door) shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, 2*len(d.all))
	for _, sv := range d.all {
		wg.Go(func() { errs <- sv.http.Shutdown(ctx) })
		wg.Go(func() { errs <- d.shutdownQUIC(ctx, sv.h3) })
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// shutdownQUIC says GOAWAY and ends when no request is left. http3's own
// Shutdown also waits for clients to close, and a browser keeps its connection.
func (d *door) shutdownQUIC(ctx context.Context, s *http3.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	tick := time.NewTicker(lastPackets / 4)
	defer tick.Stop()
	idleSince := time.Now()
	for {
		select {
		case err := <-done:
			return err
		case now := <-tick.C:
			if d.streams.Load() > 0 {
				idleSince = now
			} else if now.Sub(idleSince) > lastPackets {
				cancel() // closes the connections
				<-done
				return nil
			}
		}
	}
}

// lastPackets is how long a QUIC connection without requests stays open for what
// is still on the wire.
const lastPackets = time.Second

// close ends everything at once and returns after the last goroutine.
func (d *door) close() {
	d.closeOnce.Do(func() { close(d.closed) })
	d.tcp.Close()
	if d.quic != nil {
		d.quic.Close()
	}
	d.accepting.Wait()
	for _, sv := range d.all {
		sv.end()
		sv.http.Close()
		sv.h3.Close()
	}
	d.closeUDP()
	d.serving.Wait()
}

// closeUDP closes the socket of HTTP/3 and every connection on it.
func (d *door) closeUDP() {
	if d.udp != nil {
		d.udp.Close()
		d.udp.Conn.Close()
		d.udp, d.quic = nil, nil
	}
}

// end makes the http.Server's Serve return.
func (s *servers) end() { s.endOnce.Do(func() { close(s.done) }) }
