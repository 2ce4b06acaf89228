package h2_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"headgate/gateway/h2"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

func TestPrefaceThatWasReadAlready(t *testing.T) {
	all := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x87\x84"
	for _, n := range []int{1, 14, 24, 30, len(all)} {
		near, far := net.Pipe()
		s := h2.NewServer(nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			sock := socket.New(far, nil)
			s.ServeConn(sock, sock, []byte(all[:n]), echo)
		}()
		go io.WriteString(near, all[n:])
		k := &script{Framer: http2.NewFramer(near, near), tb: t, c: near}
		for {
			e, ok := k.next()
			if !ok {
				t.Fatalf("%d bytes first: no answer", n)
			}
			if e.stream == 1 && e.end {
				break
			}
		}
		near.Close()
		<-done
		s.Close()
	}
}

func TestContextEndsWithTheStream(t *testing.T) {
	type result struct {
		err   error
		after bool
	}
	results := make(chan result, 1)
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		ctx := s.Context()
		if r.Target == "/serve" {
			go func() { <-ctx.Done(); results <- result{err: ctx.Err()} }()
			answer(s, 200, "")
			return
		}
		<-ctx.Done()
		_, err := s.Read(make([]byte, 1))
		_, err2 := s.Write([]byte("x"))
		results <- result{errors.Join(err, err2), s.Context().Err() != nil}
	})
	s := start(t, false, h2.Settings{}, h)
	k := dial(t, s)
	k.post(1)
	k.must(k.WriteRSTStream(1, http2.ErrCodeCancel))
	if r := <-results; r.err == nil || !r.after {
		t.Errorf("after a reset: %+v", r)
	}
	k.headers(3, true, ":method", "GET", ":scheme", "https", ":path", "/serve", ":authority", "a")
	if r := <-results; r.err == nil {
		t.Errorf("after Serve: %+v", r)
	}
	k.post(5)
	k.c.Close()
	if r := <-results; r.err == nil || !r.after {
		t.Errorf("after the connection: %+v", r)
	}
}

func TestStreamsThatAreNotAnsweredWhole(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		switch r.Target {
		case "/panic":
			panic("ouch")
		case "/late-panic":
			s.WriteHead(200, nil, -1)
			panic("ouch")
		case "/abort":
			s.WriteHead(200, nil, 10)
			s.Write([]byte("half"))
			s.Flush()
			s.Abort()
			if _, err := s.Write([]byte("x")); !errors.Is(err, wire.ErrAborted) {
				t.Errorf("Write after Abort: %v", err)
			}
		case "/short":
			s.WriteHead(200, nil, 10)
			s.Write([]byte("half"))
		case "/long":
			s.WriteHead(200, nil, 3)
			s.Write([]byte("abc"))
			if _, err := s.Write([]byte("d")); !errors.Is(err, wire.ErrTooLong) {
				t.Errorf("Write: %v", err)
			}
		case "/hijack":
			if _, _, err := s.Hijack(); !errors.Is(err, wire.ErrNoHijack) {
				t.Errorf("Hijack: %v", err)
			}
		}
	})
	s := start(t, false, h2.Settings{}, h)
	k := dial(t, s)
	for i, path := range []string{"/panic", "/late-panic", "/abort", "/short", "/nothing", "/hijack"} {
		id := uint32(2*i + 1)
		k.headers(id, true, ":method", "GET", ":scheme", "https", ":path", path, ":authority", "a")
		k.wantReset(id, http2.ErrCodeInternal)
	}
	k.headers(99, true, ":method", "GET", ":scheme", "https", ":path", "/long", ":authority", "a")
	k.wantStatus(99, "200")
	if got := k.wantEnd(99); got != "abc" {
		t.Errorf("got %q", got)
	}
}

func TestContinueIsSaidAtTheFirstRead(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		if r.Target == "/no" {
			answer(s, 417, "")
			return
		}
		b, _ := io.ReadAll(s)
		answer(s, 200, string(b))
	})
	each(t, h2.Settings{}, h, func(t *testing.T, s *server, c *http.Client) {
		c.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
		for path, want := range map[string]string{"/yes": "200 OK body true", "/no": "417 Expectation Failed  false"} {
			var said atomic.Bool
			q, _ := http.NewRequest("POST", s.url(path), strings.NewReader("body"))
			q.Header.Set("Expect", "100-continue")
			ctx := httptrace.WithClientTrace(q.Context(), &httptrace.ClientTrace{Got100Continue: func() { said.Store(true) }})
			r, err := c.Do(q.WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(r.Body)
			r.Body.Close()
			got := r.Status + " " + string(b) + " false"
			if said.Load() {
				got = r.Status + " " + string(b) + " true"
			}
			if got != want {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
		}
	})
}

// An upload waits for its reader, and goes on when it reads.
func TestUploadWaitsForTheHandler(t *testing.T) {
	read := make(chan struct{})
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		<-read
		n, err := io.Copy(io.Discard, s)
		if n != 4<<20 || err != nil {
			t.Errorf("got %d bytes, %v", n, err)
		}
		answer(s, 200, "")
	})
	s := start(t, true, h2.Settings{}, h)
	c := s.client(t)
	var sent atomic.Int64
	body := io.TeeReader(io.LimitReader(zeros{}, 4<<20), counter{&sent})
	done := make(chan error, 1)
	go func() {
		r, err := c.Post(s.url("/"), "", body)
		if err == nil {
			r.Body.Close()
		}
		done <- err
	}()
	until(t, "the window is used", func() bool { return sent.Load() >= 256<<10 })
	if n := sent.Load(); n > 400<<10 {
		t.Errorf("the client could send %d bytes, want about 256 KiB", n)
	}
	close(read)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

// Bodies that nobody reads give their part of the connection's window back.
func TestUnreadBodiesGiveTheWindowBack(t *testing.T) {
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		if r.Method == "GET" {
			answer(s, 200, "")
			return
		}
		<-s.Context().Done()
	}))
	k := dial(t, s)
	credit, sent := 65535, 0
	for id := uint32(1); sent < 3<<20; id += 2 {
		k.post(id)
		for range 10 {
			for credit < 16384 {
				f, err := k.ReadFrame()
				k.must(err)
				if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 {
					credit += int(w.Increment)
				}
			}
			k.must(k.WriteData(id, false, make([]byte, 16384)))
			credit -= 16384
			sent += 16384
		}
		k.must(k.WriteRSTStream(id, http2.ErrCodeCancel))
	}
	k.request(99999, true)
	k.wantStatus(99999, "200")
}

// A stream with a small answer gets through while others are downloaded, and each
// of those gets its share.
func TestStreamsShareTheConnection(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		if r.Target == "/small" {
			answer(s, 200, "small")
			return
		}
		s.WriteHead(200, nil, -1)
		for p := make([]byte, 1<<20); ; {
			if _, err := s.Write(p); err != nil {
				return
			}
		}
	})
	s := start(t, true, h2.Settings{}, h)
	k := dial(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	k.must(k.WriteWindowUpdate(0, 1<<31-1-65535))
	got := map[uint32]int{}
	for _, id := range []uint32{1, 3, 5, 7} {
		k.request(id, true)
	}
	total, asked := 0, false
	for {
		e, ok := k.next()
		if !ok {
			t.Fatal("the connection ended")
		}
		if e.kind == http2.FrameData {
			got[e.stream] += len(e.data)
			total += len(e.data)
		}
		if total > 8<<20 && !asked {
			asked = true
			clear(got)
			k.headers(9, true, ":method", "GET", ":scheme", "https", ":path", "/small", ":authority", "a")
		}
		if asked && total > 24<<20 {
			break
		}
	}
	if got[9] != 5 {
		t.Error("the small answer did not get through")
	}
	for _, id := range []uint32{1, 3, 5, 7} {
		if share := got[id] * 100 / (16 << 20); share < 15 || share > 35 {
			t.Errorf("stream %d has %d %% of the connection, want about 25", id, share)
		}
	}
}

// Whoever calls StopRead and Abort from elsewhere must not race with the rest.
func TestStopAndAbortFromElsewhere(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(s.StopRead)
		wg.Go(func() { s.Context().Err() })
		if _, err := io.Copy(io.Discard, s); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		wg.Go(s.Abort)
		s.WriteHead(200, nil, -1)
		s.Write(make([]byte, 100))
	})
	each(t, h2.Settings{}, h, func(t *testing.T, s *server, c *http.Client) {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				r, err := c.Post(s.url("/"), "", bytes.NewReader(make([]byte, 1000)))
				if err == nil {
					io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
			})
		}
		wg.Wait()
	})
}

func TestConfigureHoldsForTheNextRequest(t *testing.T) {
	s := start(t, false, h2.Settings{}, echo)
	k := dial(t, s)
	k.request(1, true, "x", strings.Repeat("x", 2000))
	k.wantStatus(1, "200")
	k.wantEnd(1)
	s.Configure(h2.Settings{HeadBytes: 1000})
	k.request(3, true, "x", strings.Repeat("x", 2000))
	k.wantStatus(3, "431")
}
