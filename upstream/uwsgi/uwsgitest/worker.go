package uwsgitest

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"headgate/upstream/uwsgi"
)

// Worker is a scripted worker. Its methods are safe for concurrent use.
type Worker struct {
	t        testing.TB
	listener net.Listener
	addr     uwsgi.Address
	script   func(*Conn)
	running  sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	conns    []*Conn
	requests []*Request
	stopped  bool
}

// Start runs script for every connection to a new unix socket.
func Start(t testing.TB, script func(*Conn)) *Worker {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwsgitest") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return StartAt(t, uwsgi.Address{Network: "unix", Addr: filepath.Join(dir, "w.sock")}, script)
}

// StartTCP runs script for every connection to a free port of the loopback.
func StartTCP(t testing.TB, script func(*Conn)) *Worker {
	t.Helper()
	return StartAt(t, uwsgi.Address{Network: "tcp", Addr: "127.0.0.1:0"}, script)
}

// StartAt runs script for every connection to addr.
func StartAt(t testing.TB, addr uwsgi.Address, script func(*Conn)) *Worker {
	t.Helper()
	l, err := net.Listen(addr.Network, addr.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if addr.Network == "tcp" {
		addr.Addr = l.Addr().String()
	}
	w := &Worker{t: t, listener: l, addr: addr, script: script}
	w.running.Go(w.accept)
	t.Cleanup(w.Stop)
	return w
}

// Addr returns where the worker listens.
func (w *Worker) Addr() uwsgi.Address { return w.addr }

// Requests returns the requests that were received, in their order.
func (w *Worker) Requests() []*Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

// Conns returns how many connections were accepted.
func (w *Worker) Conns() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

// Stop closes the socket and all connections and waits for their scripts. The
// end of the test does it too.
func (w *Worker) Stop() {
	_ = w.listener.Close()
	w.mu.Lock()
	w.stopped = true
	for _, c := range w.conns {
		_ = c.Conn.Close()
	}
	w.mu.Unlock()
	w.running.Wait()
}

func (w *Worker) accept() {
	for {
		nc, err := w.listener.Accept()
		if err != nil {
			return
		}
		c := w.add(nc)
		if c == nil {
			_ = nc.Close()
			return
		}
		w.running.Go(func() {
			defer nc.Close()
			w.script(c)
		})
	}
}

// add counts a connection, unless the worker was stopped.
func (w *Worker) add(nc net.Conn) *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return nil
	}
	c := &Conn{Conn: nc, Number: len(w.conns) + 1, w: w}
	w.conns = append(w.conns, c)
	return c
}

func (w *Worker) record(r *Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, r)
}
