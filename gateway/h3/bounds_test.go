package h3_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

// oneWay passes packets between a client and addr until cut: then the client is
// no longer heard, as one that acknowledges nothing.
type oneWay struct {
	addr string
	cut  atomic.Bool
}

func newOneWay(t *testing.T, to net.Addr) *oneWay {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	o := &oneWay{addr: front.LocalAddr().String()}
	var client atomic.Pointer[net.Addr]
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := front.ReadFrom(b)
			if err != nil {
				return
			}
			client.Store(&from)
			if !o.cut.Load() {
				_, _ = back.Write(b[:n])
			}
		}
	})
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			if to := client.Load(); to != nil {
				_, _ = front.WriteTo(b[:n], *to)
			}
		}
	})
	t.Cleanup(func() {
		front.Close()
		back.Close()
		wg.Wait()
	})
	return o
}

// TestFlushedCrumbsAreBounded: a client with a large window that acknowledges
// nothing must not make the server hold all that a handler writes and flushes in
// small parts (events, a streamed page): Write has to wait, and end after the
// write timeout, as it does on HTTP/2 and for large parts.
func TestFlushedCrumbsAreBounded(t *testing.T) {
	const most = 8 << 20
	begun, cut := make(chan struct{}), make(chan struct{})
	held := make(chan int, 1)
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		s.SetWriteTimeout(time.Second)
		s.WriteHead(200, nil, -1)
		_ = s.Flush()
		close(begun)
		<-cut
		part := make([]byte, 1<<10)
		n := 0
		for n < most {
			if _, err := s.Write(part); err != nil {
				break
			}
			if s.Flush() != nil {
				break
			}
			n += len(part)
		}
		held <- n
		s.Abort()
	})
	o := newOneWay(t, s.Addr())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := quic.DialAddr(ctx, o.addr, clientTLS(), &quic.Config{InitialStreamReceiveWindow: 1 << 30, InitialConnectionReceiveWindow: 1 << 30, MaxStreamReceiveWindow: 1 << 30, MaxConnectionReceiveWindow: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseWithError(0x100, "")
	raw(t, c, true, getHead().frame())
	recv(t, "the request", begun)
	o.cut.Store(true)
	close(cut)
	if n := recv(t, "the handler's end", held); n >= most {
		t.Errorf("%d bytes were taken of an answer that nobody acknowledges, without a wait", n)
	}
}

// TestUniStreamsThatSayNothingGiveTheirPlaceBack: a stream that was closed or
// reset before it has said its type is to be tolerated (RFC 9114, 6.2), and the
// client may open another in its place.
func TestUniStreamsThatSayNothingGiveTheirPlaceBack(t *testing.T) {
	for name, end := range map[string]func(*quic.SendStream){
		"reset":  func(q *quic.SendStream) { q.CancelWrite(0x100) },
		"closed": func(q *quic.SendStream) { _ = q.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, h3.Settings{}, ok).dial(nil)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			for i := range 20 {
				q, err := c.OpenUniStreamSync(ctx)
				if err != nil {
					t.Fatalf("after %d streams: %v", i, err)
				}
				end(q)
			}
		})
	}
}

// TestContextAskedAfterAResetHasEnded: the client resets a request in its body,
// and the handler, whose Read tells so, asks for the context only then (the
// gateway does: it decides between 499 and 400 with it).
func TestContextAskedAfterAResetHasEnded(t *testing.T) {
	type result struct{ read, life error }
	begun, got := make(chan struct{}), make(chan result, 1)
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		b := make([]byte, 100)
		close(begun)
		for {
			if _, err := s.Read(b); err != nil {
				got <- result{err, s.Context().Err()}
				return
			}
		}
	})
	c := s.dial(nil)
	q := raw(t, c, false, join(postHead().frame(), data("some")))
	recv(t, "the request", begun)
	q.CancelWrite(0x10c)
	if r := recv(t, "the handler's end", got); r.life == nil {
		t.Errorf("Read: %v; but the context says that the client is there", r.read)
	}
}
