package gateway

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"headgate/gateway/forwarded"
	"headgate/gateway/h1"
	"headgate/gateway/h2"
	"headgate/gateway/h3"
)

// door is one address of the gateway: its sockets, and the engines that speak
// HTTP/1.1, HTTP/2 and HTTP/3 on them. Sockets and connections outlive reloads.
type door struct {
	g       *Gateway
	address string // as configured
	secure  bool
	port    string // the local port, decimal

	tcp net.Listener
	h1  *h1.Server
	h2  *h2.Server
	h3  *h3.Server // accepts nothing when HTTP/3 is off

	settings atomic.Pointer[settings]
	gates    gates
	shaking  handshakes
	alt      altSvc

	leaving   atomic.Bool   // connections of HTTP/1.1 end with their next answer
	closed    chan struct{} // closed when the door stops accepting
	closeOnce sync.Once
	accepting sync.WaitGroup
	serving   visits // every connection; tunnels outlive the door

	open, accepted atomic.Int64 // TCP connections
}

// settings are what engines need of the configuration.
type settings struct {
	headBytes, fields          int
	headerTimeout, idleTimeout time.Duration

	connections, clientConnections int             // at once; 0 or less: any number
	proxies                        forwarded.Trust // whose connections begin with a PROXY header
	trusted                        forwarded.Trust // who speaks for clients in X-Forwarded-For
}

// maxStreams bounds the requests at once on one h2 or h3 connection.
const maxStreams = 128

// headSlack and fieldSlack are what an engine reads of a head beyond the limits,
// so that the gateway itself can answer which field was too big.
const (
	headSlack  = 64 << 10
	fieldSlack = 400
)

func (d *door) scheme() string {
	if d.secure {
		return "https"
	}
	return "http"
}

// configure sets what holds for the next request of every connection.
func (d *door) configure(s settings) {
	d.settings.Store(&s)
	head, fields := s.headBytes+headSlack, s.fields+fieldSlack
	d.h1.Configure(h1.Settings{HeadBytes: head, Fields: fields, HeaderTimeout: s.headerTimeout, IdleTimeout: s.idleTimeout})
	d.h2.Configure(h2.Settings{HeadBytes: head, Fields: fields, HeaderTimeout: s.headerTimeout, IdleTimeout: s.idleTimeout, MaxStreams: maxStreams})
	d.h3.Configure(h3.Settings{HeadBytes: head, Fields: fields, HeaderTimeout: s.headerTimeout, IdleTimeout: s.idleTimeout, MaxStreams: maxStreams})
}

// start accepts connections until stopAccepting.
func (d *door) start() {
	d.accepting.Go(d.acceptTCP)
	d.h3.Start()
}

func (d *door) acceptTCP() {
	var pause time.Duration
	for {
		c, err := d.tcp.Accept()
		switch {
		case err == nil:
			pause = 0
			d.accepted.Add(1)
			d.serving.Go(func() { d.serve(c) })
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
	d.h3.StopAccepting()
	d.accepting.Wait()
	d.tcp.Close()
}

// acceptLast is how long a door that closes still takes connections.
const acceptLast = 100 * time.Millisecond

// shutdown lets requests that run end, says GOAWAY on h2 and h3, and closes
// connections that are idle. It returns ctx's error when that is not done in time.
func (d *door) shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	var one, two, three error
	shut := func() {
		wg.Go(func() { one = d.h1.Shutdown(ctx) })
		wg.Go(func() { two = d.h2.Shutdown(ctx) })
	}
	wg.Go(func() { three = d.h3.Shutdown(ctx) })
	shut()
	d.shaking.wait(ctx)
	wg.Wait()
	for ; !d.serving.none() && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		shut() // those whose handshakes were under way
		wg.Wait()
	}
	return errors.Join(one, two, three)
}

// close ends everything at once and returns after the last goroutine.
func (d *door) close() {
	d.closeOnce.Do(func() { close(d.closed) })
	d.tcp.Close()
	d.accepting.Wait()
	d.shaking.end()
	d.h1.Close()
	d.h2.Close()
	d.h3.Close()
	d.serving.Wait()
}
