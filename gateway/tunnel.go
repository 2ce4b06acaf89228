package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnel answers 101 and joins the client's connection with the worker's until
// either side has ended both directions, or the gateway stops. The worker's slot
// is busy all the while. There is no time limit on silence: uWSGI pings.
func (x *exchange) tunnel(a *answer) {
	defer a.close()
	defer a.Conn.Close()
	client, early, err := x.s.Hijack()
	if err != nil {
		x.fail(&failure{status: http.StatusBadGateway, kind: "upgrade", cause: "the connection cannot be switched to another protocol", err: err})
		return
	}
	defer client.Close()
	x.started, x.entry.Status = true, a.Status
	if err := client.SetDeadline(time.Time{}); err != nil {
		x.clientGone(err)
		return
	}
	defer x.d.g.tunnels.add(client, a.Conn)()
	client = pacedConn{client, x.route.writeIdle}
	x.stick(a)
	if _, err := client.Write(x.switchHead(a.Status)); err != nil {
		x.clientGone(err)
		return
	}
	x.d.serving.aside(func() { x.entry.BytesIn, x.entry.BytesOut = join(client, a.Conn, early) })
}

// switchHead is the head of the 101 response.
func (x *exchange) switchHead(status int) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: Upgrade\r\n", status, http.StatusText(status))
	for _, f := range x.out { // a member's fields have neither CR nor LF
		b = append(append(append(append(b, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// pacedConn gives the client the configured time to take each piece: one that
// takes nothing must not keep a worker. Silence has no limit.
type pacedConn struct {
	net.Conn
	limit time.Duration // 0 or less: none
}

// Write implements net.Conn.
func (c pacedConn) Write(p []byte) (int, error) {
	if c.limit > 0 {
		c.SetWriteDeadline(time.Now().Add(c.limit)) // an error shows in Write
	}
	return c.Conn.Write(p)
}

// CloseWrite ends the sending half.
func (c pacedConn) CloseWrite() error {
	closeWrite(c.Conn)
	return nil
}

// join copies both ways and returns the bytes from the client and to it. When
// one side has said its last, the other is told so, and may still speak.
func join(client, worker net.Conn, early []byte) (in, out int64) {
	var wg sync.WaitGroup
	wg.Go(func() {
		n, _ := worker.Write(early)
		m, err := io.Copy(worker, client)
		in = int64(n) + m
		if err != nil {
			worker.Close() // the client is gone, not silent
			return
		}
		closeWrite(worker)
	})
	out, _ = io.Copy(client, worker) // why it ended does not matter: it is over
	closeWrite(client)
	// A worker that is done answers nothing any more: the client has a moment to
	// close its side, as RFC 6455 7.1.1 expects.
	client.SetReadDeadline(time.Now().Add(tunnelLinger))
	worker.SetWriteDeadline(time.Now().Add(tunnelLinger))
	wg.Wait()
	return in, out
}

const tunnelLinger = 5 * time.Second

func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		h.CloseWrite() // the other side may have closed already
	}
}

// tunnels knows the connections that were switched, so that a stop can wait for
// them and end them. The zero value is ready to use.
type tunnels struct {
	mu    sync.Mutex // guards the fields below
	open  map[net.Conn]net.Conn
	empty chan struct{} // closed when none is open; nil when nobody waits
	over  bool          // no more tunnels: cut was called
}

// add remembers a pair and returns what forgets it.
func (t *tunnels) add(client, worker net.Conn) (remove func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = make(map[net.Conn]net.Conn)
	}
	t.open[client] = worker
	if t.over {
		client.Close()
		worker.Close()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.open, client)
		if len(t.open) == 0 && t.empty != nil {
			close(t.empty)
			t.empty = nil
		}
	}
}

// idle returns a channel that is closed when no tunnel is open.
func (t *tunnels) idle() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) == 0 {
		c := make(chan struct{})
		close(c)
		return c
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	return t.empty
}

// cut ends every tunnel, now and later.
func (t *tunnels) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	for client, worker := range t.open {
		client.Close()
		worker.Close()
	}
}
