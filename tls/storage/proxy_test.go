package storage_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/tls/storage"
)

// proxy is a network between client and server that may swallow answers.
type proxy struct {
	l     net.Listener
	to    string
	cut   atomic.Int32 // how many of the next answers break their connection instead
	wg    sync.WaitGroup
	mu    sync.Mutex // guards the field below
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: to}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.wg.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
		p.wg.Go(func() { p.answers(client, server) })
	}
}

func (p *proxy) answers(client, server net.Conn) {
	defer client.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		if err != nil || p.cut.Add(-1) >= 0 {
			return
		}
		p.cut.Store(max(p.cut.Load(), 0))
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}

// TestRedisAnswersThatAreLost: what was asked was done, and is asked again.
func TestRedisAnswersThatAreLost(t *testing.T) {
	srv := newServer(t)
	p := newProxy(t, srv.addr)
	s := open(t, "redis://"+p.l.Addr().String()+"/3", nil)
	store(t, s, "warm")
	if err := errors.Join(s.Lock(t.Context(), "warm"), s.Unlock(t.Context(), "warm")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"Store", func() error { return s.Store(t.Context(), "a/b", []byte("x")) }},
		{"Load", func() error { _, err := s.Load(t.Context(), "a/b"); return err }},
		{"List", func() error { _, err := s.List(t.Context(), "a", true); return err }},
		{"Lock", func() error { return s.Lock(t.Context(), "x") }},
		{"RenewLockLease", func() error { return s.(*storage.Redis).RenewLockLease(t.Context(), "x", 0) }},
		{"Unlock", func() error { return s.Unlock(t.Context(), "x") }},
		{"Delete", func() error { return s.Delete(t.Context(), "a") }},
	} {
		p.cut.Store(1)
		start := time.Now()
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s took %v", step.name, d)
		}
		if p.cut.Load() > 0 {
			t.Errorf("%s: no answer was lost", step.name)
		}
	}
	if left := srv.do("EXISTS", "headgate:lock:x", "headgate:value:a/b"); left != int64(0) {
		t.Errorf("%v keys are left", left)
	}
	p.cut.Store(100)
	wantErr(t, s.Store(t.Context(), "a/b", nil), p.l.Addr().String(), "start redis there")
}
