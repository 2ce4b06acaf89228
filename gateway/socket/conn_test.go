package socket_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"headgate/gateway/socket"
)

// TestNetConn is what Go's own connections must pass.
func TestNetConn(t *testing.T) {
	wrap := func(c net.Conn) net.Conn { return socket.New(c, nil) }
	ways := map[string]func(t *testing.T) (net.Conn, net.Conn){
		"tcp":    func(t *testing.T) (net.Conn, net.Conn) { a, b := pair(t); return wrap(a), wrap(b) },
		"hidden": func(t *testing.T) (net.Conn, net.Conn) { a, b := pair(t); return wrap(hidden{a}), wrap(b) },
		"pipe":   func(*testing.T) (net.Conn, net.Conn) { a, b := net.Pipe(); return wrap(a), wrap(b) },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b := way(t)
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}

func TestReadTimeoutEndsOneRead(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		s.SetReadTimeout(20 * time.Millisecond)
		begin := time.Now()
		_, err := s.Read(make([]byte, 9))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read = %v, want a timeout", err)
		}
		if waited := time.Since(begin); waited < 20*time.Millisecond {
			t.Errorf("waited %v, want 20ms or more", waited)
		}
		var asNet net.Error
		if !errors.As(err, &asNet) || !asNet.Timeout() {
			t.Errorf("error %v is no net.Error with Timeout", err)
		}
		s.SetReadTimeout(soon)
		go client.Write([]byte("x"))
		if n, err := s.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("Read after a timeout = %d, %v, want 1, nil", n, err)
		}
	})
}

// A timer that a shorter timeout has armed must not end a longer one.
func TestReadTimeoutGrows(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		b := make([]byte, 9)
		s.SetReadTimeout(40 * time.Millisecond)
		time.AfterFunc(5*time.Millisecond, func() { client.Write([]byte("a")) })
		if _, err := s.Read(b); err != nil {
			t.Fatal(err)
		}
		for _, d := range []time.Duration{soon, 0} {
			s.SetReadTimeout(d)
			time.AfterFunc(100*time.Millisecond, func() { client.Write([]byte("b")) })
			if n, err := s.Read(b); n != 1 || err != nil {
				t.Fatalf("Read with timeout %v = %d, %v, want 1, nil", d, n, err)
			}
		}
	})
}

// The timer fires while nobody reads: the next Read has its own time.
func TestTimerFiresBetweenReads(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		b := make([]byte, 9)
		s.SetReadTimeout(20 * time.Millisecond)
		time.AfterFunc(2*time.Millisecond, func() { client.Write([]byte("a")) })
		if _, err := s.Read(b); err != nil {
			t.Fatal(err)
		}
		<-time.After(40 * time.Millisecond)
		go client.Write([]byte("b"))
		s.SetReadTimeout(soon)
		if n, err := s.Read(b); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v, want 1, nil", n, err)
		}
	})
}

func TestReadTimeoutShrinks(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		s.SetReadTimeout(time.Hour)
		later(func() { client.Write([]byte("a")) })
		if _, err := s.Read(make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
		s.SetReadTimeout(10 * time.Millisecond)
		if _, err := s.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v, want a timeout", err)
		}
	})
}

func TestDeadlineInThePastFailsWithDataThere(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		go client.Write([]byte("abc"))
		b := make([]byte, 1)
		if _, err := s.Read(b); err != nil {
			t.Fatal(err)
		}
		for name, at := range map[string]time.Time{"long past": time.Unix(1, 0), "now": time.Now(), "soon past": time.Now().Add(time.Millisecond)} {
			s.SetReadDeadline(at)
			<-time.After(time.Until(at) + time.Millisecond)
			if n, err := s.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: Read = %d, %v, want 0 and a timeout", name, n, err)
			}
			s.SetWriteDeadline(at)
			if n, err := s.Write(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: Write = %d, %v, want 0 and a timeout", name, n, err)
			}
		}
		s.SetDeadline(time.Time{})
		if n, err := s.Read(b); n != 1 || err != nil {
			t.Errorf("Read without deadline = %d, %v, want 1, nil", n, err)
		}
	})
}

func TestDeadlineInterruptsAReadThatWaits(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		for _, timeout := range []time.Duration{0, time.Hour} {
			s.SetReadTimeout(timeout)
			for _, at := range []time.Duration{-time.Hour, 0, 10 * time.Millisecond} {
				s.SetReadDeadline(time.Now().Add(2 * time.Hour))
				later(func() { s.SetReadDeadline(time.Now().Add(at)) })
				begin := time.Now()
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("Read = %v, want a timeout", err)
				}
				if waited := time.Since(begin); waited > soon {
					t.Errorf("waited %v", waited)
				}
			}
		}
	})
}

func TestDeadlineIsPutOffWhileAReadWaits(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		for _, until := range []time.Time{{}, time.Now().Add(time.Hour)} {
			s.SetReadDeadline(time.Now().Add(60 * time.Millisecond))
			later(func() { s.SetReadDeadline(until) })
			time.AfterFunc(120*time.Millisecond, func() { client.Write([]byte("x")) })
			if n, err := s.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Fatalf("Read = %d, %v, want 1, nil", n, err)
			}
		}
	})
}

func TestDeadlineHoldsBesideTimeout(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		s.SetReadTimeout(time.Hour)
		s.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v, want a timeout", err)
		}
	})
}

func TestWriteTimeoutEndsAWriteThatNobodyTakes(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		s.SetWriteTimeout(30 * time.Millisecond)
		n, err := s.Write(make([]byte, 64<<20))
		if n == 64<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %d, %v, want less than all and a timeout", n, err)
		}
		v := net.Buffers{make([]byte, 64<<20), make([]byte, 1)}
		if _, err := s.WriteBuffers(&v); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("WriteBuffers = %v, want a timeout", err)
		}
	})
}

// A slow client is not one that takes nothing.
func TestWriteTimeoutBeginsAgainWithProgress(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	const timeout = 400 * time.Millisecond
	c.SetWriteTimeout(timeout)
	taken := make(chan int, 1)
	go func() {
		b := make([]byte, 1<<20)
		all := 0
		for {
			n, err := io.ReadFull(client, b)
			all += n
			if err != nil {
				taken <- all
				return
			}
			<-time.After(30 * time.Millisecond)
		}
	}()
	const size = 40 << 20
	begin := time.Now()
	n, err := c.Write(make([]byte, size))
	if n != size || err != nil {
		t.Errorf("Write = %d, %v after %v, want all", n, err, time.Since(begin))
	}
	if d := time.Since(begin); d < timeout {
		t.Errorf("took %v, too short to show anything", d)
	}
	c.Close()
	if got := receive(t, taken); got != size {
		t.Errorf("client took %d of %d bytes", got, size)
	}
}

func TestWriteBuffers(t *testing.T) {
	big := make([]byte, 3<<20)
	rand.Read(big)
	many := net.Buffers{}
	for i := range 3000 {
		many = append(many, big[i*7:i*7+i%5]) // some are empty
	}
	for name, v := range map[string]net.Buffers{
		"none": {}, "empty": {nil, {}}, "two": {big[:100], big[100:5000]},
		"big": {big[:200], big, big[:1]}, "many": many,
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
				want := bytes.Join(v, nil)
				got := make(chan []byte, 1)
				go func() {
					b := make([]byte, len(want))
					n, _ := io.ReadFull(client, b)
					got <- b[:n]
				}()
				give := append(net.Buffers(nil), v...)
				n, err := s.WriteBuffers(&give)
				if n != int64(len(want)) || err != nil || len(give) != 0 {
					t.Errorf("WriteBuffers = %d, %v with %d parts left, want %d, nil, 0", n, err, len(give), len(want))
				}
				if !bytes.Equal(receive(t, got), want) {
					t.Error("the client got something else")
				}
			})
		})
	}
}

// loans counts the buffers that are out.
type loans struct{ out atomic.Int64 }

func (l *loans) Get() []byte  { l.out.Add(1); return make([]byte, 100) }
func (l *loans) Put(b []byte) { l.out.Add(-1) }

func TestReadLentHoldsNoBufferWhileItWaits(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	var l loans
	waiting := make(chan int64, 1)
	later(func() {
		waiting <- l.out.Load()
		client.Write([]byte("hello"))
	})
	b, err := c.ReadLent(&l)
	if string(b) != "hello" || err != nil {
		t.Errorf("ReadLent = %q, %v, want hello, nil", b, err)
	}
	if cap(b) != 100 || l.out.Load() != 1 {
		t.Errorf("cap %d, %d buffers out, want 100, 1", cap(b), l.out.Load())
	}
	if out := receive(t, waiting); out != 0 {
		t.Errorf("%d buffers were out while it waited, want 0", out)
	}
}

func TestReadLentGivesBackOnError(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		var l loans
		s.SetReadTimeout(time.Millisecond)
		if b, err := s.ReadLent(&l); b != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ReadLent = %q, %v, want none and a timeout", b, err)
		}
		client.Close()
		s.SetReadTimeout(soon)
		if b, err := s.ReadLent(&l); b != nil || err != io.EOF {
			t.Errorf("ReadLent = %q, %v, want none and io.EOF", b, err)
		}
		if l.out.Load() != 0 {
			t.Errorf("%d buffers out, want 0", l.out.Load())
		}
	})
}

func TestErrorsAreThoseOfNet(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	client.SetLinger(0)
	client.Close()
	_, err := c.Read(make([]byte, 1))
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" || op.Net != "tcp" {
		t.Errorf("Read after a reset = %#v, want ECONNRESET of a read", err)
	}
	_, err = c.Write(make([]byte, 1))
	if !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) || op.Op != "write" {
		t.Errorf("Write after a reset = %v, want EPIPE of a write", err)
	}
	c.Close()
	v := net.Buffers{{1}}
	_, read := c.Read(make([]byte, 1))
	_, write := c.Write(make([]byte, 1))
	_, writev := c.WriteBuffers(&v)
	for name, err := range map[string]error{"read": read, "write": write, "writev": writev, "close": c.Close(), "set": c.SetDeadline(time.Time{})} {
		if !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) || op.Op != name {
			t.Errorf("%s on a closed connection: %v, want net.ErrClosed of op %s", name, err, name)
		}
	}
}

func TestCloseEndsCallsThatWait(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		errs := make(chan error, 2)
		go func() { _, err := s.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := s.Write(make([]byte, 64<<20)); errs <- err }()
		later(func() { s.Close() })
		for range 2 {
			if err := receive(t, errs); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("a call that waited = %v, want net.ErrClosed", err)
			}
		}
	})
}

func TestCallsDoNotAllocate(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	c.SetReadTimeout(time.Minute)
	c.SetWriteTimeout(time.Minute)
	b, head, body := make([]byte, 100), make([]byte, 50), make([]byte, 50)
	array := make(net.Buffers, 2)
	v := new(net.Buffers)
	l := lender{b}
	f := func() {}
	allocs := testing.AllocsPerRun(200, func() {
		client.Write(b)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		c.Read(b)
		client.Write(b)
		c.ReadLent(&l)
		c.OnHangup(f)
		c.Write(b)
		io.ReadFull(client, b)
		array[0], array[1] = head, body
		*v = array
		c.WriteBuffers(v)
		io.ReadFull(client, b)
		c.OnHangup(nil)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

type lender struct{ b []byte }

func (l *lender) Get() []byte { return l.b }
func (l *lender) Put([]byte)  {}

// TestEverybodyAtOnce is for the race detector, and must end.
func TestEverybodyAtOnce(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	s, client := pair(t)
	c := socket.New(s, &h)
	go io.Copy(client, client)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	var got atomic.Int64
	read, written := make([]byte, 4096), make([]byte, 1000)
	loop(func() {
		n, err := c.Read(read)
		got.Add(int64(n))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) && err != io.EOF {
			t.Errorf("Read: %v", err)
		}
	})
	loop(func() { c.Write(written) })
	loop(func() { c.SetReadDeadline(time.Now()); c.SetReadDeadline(time.Time{}) })
	loop(func() { c.SetDeadline(time.Now().Add(time.Microsecond)); c.SetDeadline(time.Time{}) })
	loop(func() { c.SetReadTimeout(time.Millisecond); c.SetWriteTimeout(time.Millisecond); c.SetReadTimeout(0) })
	loop(func() { c.OnHangup(func() {}); c.OnHangup(nil) })
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(soon); got.Load() < 100_000; {
		select {
		case <-tick.C:
		case <-end:
			t.Errorf("only %d bytes went round", got.Load())
			got.Store(100_000)
		}
	}
	wg.Go(func() { c.Close() })
	wg.Go(func() { c.Reset() })
	close(stop)
	wg.Wait()
}
