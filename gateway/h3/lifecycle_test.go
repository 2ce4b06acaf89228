package h3_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

func TestWaitsForStart(t *testing.T) {
	s := h3.NewServer(h3.Setup{TLS: serverTLS(t), Handler: func(h3.ConnInfo) wire.Handler { return handlerFunc(ok) }})
	defer s.Close()
	s.Start()
	if s.Accepting() || s.Addr() != nil {
		t.Error("it accepts before Listen")
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if !s.Accepting() {
		t.Error("it does not accept")
	}
	if err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("it listens twice")
	}
	st := raw(t, (&server{s, t}).dial(nil), true, getHead().frame())
	if s.Accepted() != 0 {
		t.Error("a connection was accepted before Start")
	}
	s.Start()
	s.Start()
	if got := read(st); got.status() != 200 {
		t.Errorf("got %+v", got)
	}
}

func TestListenFails(t *testing.T) {
	a := start(t, h3.Settings{}, ok)
	b := h3.NewServer(h3.Setup{TLS: serverTLS(t), Handler: func(h3.ConnInfo) wire.Handler { return handlerFunc(ok) }})
	defer b.Close()
	if err := b.Listen(a.Addr().String()); err == nil || b.Accepting() || b.Addr() != nil {
		t.Errorf("got %v for a port that is taken", err)
	}
	if err := b.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := b.Listen("127.0.0.1:0"); err == nil {
		t.Error("it listens after Shutdown")
	}
}

// TestListenAgain: the socket and its connections stay when HTTP/3 is turned off and on.
func TestListenAgain(t *testing.T) {
	t.Parallel()
	s := start(t, h3.Settings{}, ok)
	c := s.client()
	get(t, c, "/")
	addr := s.Addr().String()
	s.StopAccepting()
	s.StopAccepting()
	if s.Accepting() {
		t.Error("it accepts")
	}
	if _, err := s.tryDial(&quic.Config{HandshakeIdleTimeout: 300 * time.Millisecond}); err == nil {
		t.Error("a new client was served")
	}
	get(t, c, "/")
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Start()
	if s.Addr().String() != addr {
		t.Errorf("got another socket: %s", s.Addr())
	}
	get(t, c, "/")
	get(t, s.client(), "/")
	if s.Accepted() != 2 {
		t.Errorf("got %d connections, want the first and the last", s.Accepted())
	}
}

// goAways reads the GOAWAYs that a connection gets.
func goAways(c *quic.Conn) <-chan uint64 {
	ids := make(chan uint64, 4)
	go func() {
		u, err := c.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		r := quicvarint.NewReader(u)
		_, err = quicvarint.Read(r)
		for err == nil {
			var kind, n, id uint64
			kind, _ = quicvarint.Read(r)
			if n, err = quicvarint.Read(r); err != nil {
				return
			}
			if kind == 7 {
				id, err = quicvarint.Read(r)
				ids <- id
			} else {
				_, err = io.CopyN(io.Discard, r, int64(n))
			}
		}
	}()
	return ids
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}), make(chan struct{})
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		if r.Method == "POST" {
			begun <- struct{}{}
			<-end
		}
		answer(s, 200, "done")
	})
	c, idle := s.dial(nil), s.dial(nil)
	told, toldIdle := goAways(c), goAways(idle)
	st := raw(t, c, true, postHead().frame())
	recv(t, "the request", begun)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	for _, ids := range []<-chan uint64{told, toldIdle} {
		if id := recv(t, "the first GOAWAY", ids); id != 1<<62-4 {
			t.Errorf("the first GOAWAY says %d, want that all requests are answered", id)
		}
	}
	if got := read(raw(t, c, true, getHead().frame())); got.status() != 200 { // it was on its way
		t.Errorf("a request behind the first GOAWAY: got %+v", got)
	}
	if id := recv(t, "the last GOAWAY", told); id != 8 {
		t.Errorf("the last GOAWAY says %d, want 8", id)
	}
	if id := recv(t, "the last GOAWAY", toldIdle); id != 0 {
		t.Errorf("the last GOAWAY says %d, want 0", id)
	}
	if got := read(raw(t, c, true, getHead().frame())); code(got.err) != "stream 0x10b" {
		t.Errorf("a request behind the last GOAWAY: got %+v, want H3_REQUEST_REJECTED", got)
	}
	if _, err := s.tryDial(&quic.Config{HandshakeIdleTimeout: 300 * time.Millisecond}); err == nil {
		t.Error("a connection was made")
	}
	select {
	case err := <-done:
		t.Errorf("Shutdown has not waited: %v", err)
	default:
	}
	close(end)
	if got := read(st); got.err != nil || got.body != "done" {
		t.Errorf("got %+v", got)
	}
	if err := recv(t, "the end of Shutdown", done); err != nil {
		t.Error(err)
	}
	recv(t, "the end of the connection", c.Context().Done())
	if got := code(context.Cause(c.Context())); got != "connection 0x100" {
		t.Errorf("it ended with %s, want H3_NO_ERROR", got)
	}
	if s.Running() != 0 {
		t.Errorf("%d requests run", s.Running())
	}
}

func TestShutdownHasAnEnd(t *testing.T) {
	t.Parallel()
	s, begun, ended := waiting(t)
	c := s.dial(nil)
	raw(t, c, true, getHead().frame())
	recv(t, "the request", begun)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	recv(t, "the end of the request's context", ended)
	recv(t, "the end of the connection", c.Context().Done())
}

func TestShutdownWithoutConnections(t *testing.T) {
	s := start(t, h3.Settings{}, ok)
	begin := time.Now()
	if err := s.Shutdown(context.Background()); err != nil || time.Since(begin) > time.Second {
		t.Errorf("got %v after %s", err, time.Since(begin))
	}
}

func TestCloseWaitsForHandlers(t *testing.T) {
	s, begun, _ := waiting(t)
	c := s.dial(nil)
	raw(t, c, true, getHead().frame())
	recv(t, "the request", begun)
	s.Close()
	if n := s.Running() + s.Open(); n != 0 {
		t.Errorf("there are %d left", n)
	}
	recv(t, "the end of the connection", c.Context().Done())
	s.Close()
	if err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("it listens after Close")
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, h3.Settings{IdleTimeout: 300 * time.Millisecond}, func(s wire.Stream, _ *wire.Request) {
		_, _ = io.ReadAll(s)
		answer(s, 200, "ok")
	})
	c := s.dial(&quic.Config{KeepAlivePeriod: 50 * time.Millisecond}) // pings are no requests
	st := raw(t, c, false, postHead().frame())
	select { // a request that runs keeps it open
	case <-c.Context().Done():
		t.Fatal("it was closed while a request ran")
	case <-time.After(600 * time.Millisecond):
	}
	begin := time.Now()
	_ = st.Close()
	if got := read(st); got.status() != 200 {
		t.Fatalf("got %+v", got)
	}
	recv(t, "the end of the connection", c.Context().Done())
	if took := time.Since(begin); took < 250*time.Millisecond || code(context.Cause(c.Context())) != "connection 0x100" {
		t.Errorf("it ended after %s with %s", took, code(context.Cause(c.Context())))
	}
}

func TestConfigureHoldsForTheNext(t *testing.T) {
	kinds := make(chan string, 1)
	s := start(t, h3.Settings{MaxStreams: 1}, func(s wire.Stream, r *wire.Request) {
		kind := ""
		if r.Refusal != nil {
			kind = r.Refusal.Kind
		}
		kinds <- kind
		answer(s, 200, "ok")
	})
	c := s.dial(nil)
	big := with("x-big", strings.Repeat("~", 1000))
	for _, want := range []string{"", "header_bytes", ""} {
		if want != "" {
			s.Configure(h3.Settings{HeadBytes: 900})
		} else {
			s.Configure(h3.Settings{})
		}
		st, err := c.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = st.Write(big.frame())
		_ = st.Close()
		read(st)
		if got := recv(t, "the request", kinds); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	first, second := s.dial(nil), 0
	for _, err := first.OpenStream(); err == nil && second < 1000; _, err = first.OpenStream() {
		second++
	}
	if second != 128 {
		t.Errorf("a later connection may have %d streams, want 128", second)
	}
}

// TestResetsDoNotMultiplyHandlers: a stream that the client resets counts until
// its handler has returned.
func TestResetsDoNotMultiplyHandlers(t *testing.T) {
	t.Parallel()
	const most = 5
	release := make(chan struct{})
	var now, peak atomic.Int64
	s := start(t, h3.Settings{MaxStreams: most}, func(s wire.Stream, _ *wire.Request) {
		if n := now.Add(1); n > peak.Load() {
			peak.Store(n)
		}
		<-release
		now.Add(-1)
	})
	c := s.dial(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	opened := 0
	for {
		st, err := c.OpenStreamSync(ctx)
		if err != nil {
			break
		}
		opened++
		_, _ = st.Write(getHead().frame())
		_ = st.Close()
		st.CancelRead(0x10c)
	}
	close(release)
	if opened != most || peak.Load() > most {
		t.Errorf("%d streams and %d handlers at once, want %d", opened, peak.Load(), most)
	}
	if got := read(mustOpen(t, c)); code(got.err) != "stream 0x102" {
		t.Errorf("the connection does not go on: %s", code(got.err))
	}
}

func mustOpen(t *testing.T, c *quic.Conn) *quic.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := c.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = st.Write(getHead().frame())
	_ = st.Close()
	return st
}

func TestManyAtOnce(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		b, err := io.ReadAll(s)
		if err != nil {
			t.Error(err)
		}
		answer(s, 200, r.Target+string(b))
	})
	var all sync.WaitGroup
	for range 3 {
		c := s.client()
		for i := range 20 {
			all.Go(func() {
				text := strings.Repeat("x", i*500)
				for range 20 {
					resp, err := c.Post("https://localhost/path", "text/plain", strings.NewReader(text))
					if err != nil {
						t.Error(err)
						return
					}
					b, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if err != nil || string(b) != "/path"+text {
						t.Errorf("got %d bytes, %v", len(b), err)
					}
				}
			})
		}
	}
	all.Wait()
	eventually(t, "no request runs", func() bool { return s.Running() == 0 })
}

func TestHandshakesAreCounted(t *testing.T) {
	s := start(t, h3.Settings{}, ok)
	c := s.dial(nil)
	if got := read(raw(t, c, true, getHead().frame())); got.status() != 200 || s.Shaking() != 0 {
		t.Errorf("got %+v with %d handshakes", got, s.Shaking())
	}
	other := clientTLS()
	other.NextProtos = []string{"h2"}
	if _, err := quic.DialAddr(t.Context(), s.Addr().String(), other, nil); err == nil {
		t.Error("another protocol was accepted")
	}
	eventually(t, "no handshake is counted", func() bool { return s.Shaking() == 0 })
}

// TestUnreadBodiesAreBounded: what a client sends and nobody reads is bounded,
// for all its requests together.
func TestUnreadBodiesAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		<-release
		answer(s, 200, "ok")
	})
	c := s.dial(nil)
	body := join(postHead().frame(), frame(0, make([]byte, 1<<20)))
	var sent atomic.Int64
	var all sync.WaitGroup
	for range 10 {
		st := raw(t, c, false, nil)
		all.Go(func() {
			_ = st.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := st.Write(body)
			if sent.Add(int64(n)); err == nil {
				t.Error("all of it was taken")
			}
		})
	}
	all.Wait()
	close(release)
	if n := sent.Load(); n > 600<<10 { // and a packet for each, which is only copied
		t.Errorf("%d bytes were taken", n)
	}
}
