package h3_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

func TestAnswer(t *testing.T) {
	long := strings.Repeat("v", 20_000)
	for _, test := range []struct {
		name   string
		method string
		serve  handlerFunc
		status int
		body   string
		length string // what Content-Length says
	}{
		{"counted", "GET", func(s wire.Stream, _ *wire.Request) { answer(s, 201, "made") }, 201, "made", "4"},
		{"empty", "GET", func(s wire.Stream, _ *wire.Request) { answer(s, 200, "") }, 200, "", "0"},
		{"not counted", "GET", func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, nil, -1)
			for range 3 {
				_, _ = s.Write([]byte("ab"))
			}
		}, 200, "ababab", ""},
		{"flushed", "GET", func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, nil, -1)
			for range 3 {
				_ = s.Flush()
				_, _ = s.Write([]byte("ab"))
				_, _ = s.Write(nil)
				_, _ = s.Write([]byte("c"))
			}
		}, 200, "abcabcabc", ""},
		{"small and large", "GET", func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, nil, -1)
			_, _ = s.Write([]byte("small"))
			_, _ = io.WriteString(s, long)
			_, _ = s.Write([]byte("small"))
		}, 200, "small" + long + "small", ""},
		{"HEAD", "HEAD", func(s wire.Stream, _ *wire.Request) { answer(s, 200, "nobody") }, 200, "", "6"},
		{"HEAD without writing", "HEAD", func(s wire.Stream, _ *wire.Request) { s.WriteHead(200, nil, 1234) }, 200, "", "1234"},
		{"204", "GET", func(s wire.Stream, _ *wire.Request) { answer(s, 204, "nobody") }, 204, "", ""},
		{"304", "GET", func(s wire.Stream, _ *wire.Request) { s.WriteHead(304, nil, 77) }, 304, "", "77"},
		{"without a head", "GET", func(s wire.Stream, _ *wire.Request) { _, _ = s.Write([]byte("body")) }, 200, "body", ""},
		{"two heads", "GET", func(s wire.Stream, _ *wire.Request) { answer(s, 200, "a"); s.WriteHead(404, nil, 0) }, 200, "a", "1"},
		{"odd status", "GET", func(s wire.Stream, _ *wire.Request) { s.WriteHead(799, nil, 0) }, 799, "", "0"},
		{"huge head", "GET", func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, wire.Fields{{Name: "X-Long", Value: long}, {Name: "X-Longer", Value: long}}, 1)
			_, _ = s.Write([]byte("x"))
		}, 200, "x", "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, h3.Settings{}, test.serve)
			h := getHead()
			h[0][1] = test.method
			got := read(raw(t, s.dial(nil), true, h.frame()))
			if got.err != nil || got.status() != test.status || got.body != test.body || len(got.heads) != 1 {
				t.Fatalf("got %d heads, %d, %d bytes, %v; want %d and %d bytes", len(got.heads), got.status(), len(got.body), got.err, test.status, len(test.body))
			}
			if l := strings.Join(got.heads[0]["content-length"], "|"); l != test.length {
				t.Errorf("Content-Length: got %q, want %q", l, test.length)
			}
		})
	}
}

func TestFieldsOfAnswer(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		f := wire.Fields{
			{Name: "Content-Type", Value: "text/plain"},
			{Name: "Content-Type", Value: "text/x-other; charset=\xff"},
			{Name: "Set-Cookie", Value: "a=1"},
			{Name: "set-COOKIE", Value: "b=2"},
			{Name: "X-Trimmed", Value: " a b\t"},
			{Name: "X-Empty"},
			{Name: "Server", Value: ""},
			{Name: strings.Repeat("X-Long", 20), Value: "l"},
			{Name: "Connection", Value: "x"},
			{Name: "Transfer-Encoding", Value: "chunked"},
			{Name: "Keep-Alive", Value: "x"},
			{Name: "Upgrade", Value: "x"},
			{Name: "Content-Length", Value: "99"},
			{Name: "Bad Name", Value: "x"},
			{Name: "", Value: "x"},
			{Name: ":status", Value: "500"},
			{Name: "X-Split", Value: "a\r\nb: c"},
			{Name: "X-Nul", Value: "a\x00"},
		}
		if r.Target == "/dated" {
			f.Add("DATE", "yesterday")
		}
		s.WriteHead(200, f, 0)
	})
	c := s.dial(nil)
	got := read(raw(t, c, true, getHead().frame()))
	if got.err != nil || len(got.heads) != 1 {
		t.Fatalf("got %+v", got)
	}
	h := got.heads[0]
	if _, err := http.ParseTime(h["date"][0]); err != nil {
		t.Errorf("Date: %v", err)
	}
	delete(h, "date")
	want := map[string]string{
		":status": "200", "content-type": "text/plain|text/x-other; charset=\xff", "set-cookie": "a=1|b=2", "x-trimmed": "a b", "x-empty": "", "server": "",
		strings.Repeat("x-long", 20): "l", "content-length": "0",
	}
	for name, values := range h {
		if w, ok := want[name]; !ok || strings.Join(values, "|") != w {
			t.Errorf("%s: got %q, want %q", name, values, w)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	dated := getHead()
	dated[3][1] = "/dated"
	if got := read(raw(t, c, true, dated.frame())); strings.Join(got.heads[0]["date"], "|") != "yesterday" {
		t.Errorf("Date: got %q, want the one of the handler", got.heads[0]["date"])
	}
}

func TestMoreThanDeclared(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		s.WriteHead(200, nil, 3)
		if n, err := s.Write([]byte("abcd")); n != 0 || err != wire.ErrTooLong {
			t.Errorf("got %d, %v, want ErrTooLong", n, err)
		}
		_, _ = s.Write([]byte("abc"))
		if _, err := s.Write([]byte("d")); err != wire.ErrTooLong {
			t.Errorf("got %v, want ErrTooLong", err)
		}
	})
	if got := read(raw(t, s.dial(nil), true, getHead().frame())); got.err != nil || got.body != "abc" {
		t.Errorf("got %+v", got)
	}
}

// TestCutAnswers: half an answer never looks whole.
func TestCutAnswers(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, serve := range map[string]handlerFunc{
		"silent": func(wire.Stream, *wire.Request) {},
		"interim alone": func(s wire.Stream, _ *wire.Request) {
			_ = s.Interim(103, nil)
		},
		"short": func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, nil, 10)
			_, _ = s.Write([]byte("half"))
		},
		"abort": func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, nil, -1)
			_, _ = s.Write([]byte("half"))
			_ = s.Flush()
			s.Abort()
			if _, err := s.Write([]byte("x")); !errors.Is(err, wire.ErrAborted) {
				t.Errorf("Write after Abort: got %v", err)
			}
			if err := s.Flush(); !errors.Is(err, wire.ErrAborted) {
				t.Errorf("Flush after Abort: got %v", err)
			}
		},
		"abort of what is whole": func(s wire.Stream, _ *wire.Request) {
			answer(s, 200, long)
			s.Abort()
		},
		"abort by another": func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, nil, -1)
			done := make(chan struct{})
			go func() { s.Abort(); close(done) }()
			for {
				if _, err := io.WriteString(s, long); err != nil {
					break
				}
			}
			<-done
		},
		"panic": func(s wire.Stream, _ *wire.Request) {
			s.WriteHead(200, nil, -1)
			_ = s.Flush()
			panic("a test")
		},
		"panic at once": func(wire.Stream, *wire.Request) { panic("a test") },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, h3.Settings{}, serve)
			c := s.dial(nil)
			for range 2 { // the connection goes on
				if got := read(raw(t, c, true, getHead().frame())); code(got.err) != "stream 0x102" {
					t.Errorf("got %s, want H3_INTERNAL_ERROR", code(got.err))
				}
			}
		})
	}
}

func TestNoHijack(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		if c, early, err := s.Hijack(); c != nil || early != nil || err != wire.ErrNoHijack {
			t.Errorf("got %v, %v, %v", c, early, err)
		}
		s.CloseAfter()
		answer(s, 200, "ok")
	})
	c := s.client()
	for range 2 {
		if _, body := get(t, c, "/"); body != "ok" {
			t.Errorf("got %q", body)
		}
	}
	if s.Accepted() != 1 {
		t.Errorf("CloseAfter has closed: %d connections", s.Accepted())
	}
}

// TestEarlyAnswer: the answer comes although the body does not.
func TestEarlyAnswer(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		if !s.Unread() {
			t.Error("the body has not been read")
		}
		answer(s, 413, "too long")
	})
	st := raw(t, s.dial(nil), false, join(postHead().frame(), data("some")))
	if got := read(st); got.err != nil || got.status() != 413 || got.body != "too long" {
		t.Fatalf("got %+v", got)
	}
	eventually(t, "the client is told to stop", func() bool {
		_, err := st.Write(data("more"))
		return code(err) == "stream 0x100"
	})
}

func TestUnread(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		before := s.Unread()
		b, err := io.ReadAll(s)
		n, again := s.Read(make([]byte, 1))
		if s.Unread() || err != nil || n != 0 || again != io.EOF || before != (string(b) != "") {
			t.Errorf("%s: unread %v, then %v, with %v and %v", r.Method, before, s.Unread(), err, again)
		}
		answer(s, 200, "ok")
	})
	c := s.dial(nil)
	for _, b := range [][]byte{getHead().frame(), join(postHead().frame(), data("body"))} {
		if got := read(raw(t, c, true, b)); got.status() != 200 {
			t.Errorf("got %+v", got)
		}
	}
}

func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	const limit = 200 * time.Millisecond
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		s.SetWriteTimeout(limit)
		s.WriteHead(200, nil, -1)
		begin := time.Now()
		for {
			if _, err := s.Write(make([]byte, 10_000)); err != nil {
				if time.Since(begin) < limit {
					t.Errorf("it waited for %s only", time.Since(begin))
				}
				errs <- err
				return
			}
		}
	})
	c := s.dial(&quic.Config{InitialStreamReceiveWindow: 30_000, MaxStreamReceiveWindow: 30_000})
	st := raw(t, c, true, getHead().frame())
	if err := recv(t, "the timeout", errs); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
	if got := read(st); code(got.err) != "stream 0x10c" {
		t.Errorf("the client got %s, want H3_REQUEST_CANCELLED", code(got.err))
	}
}

// TestSlowClientMakesProgress: a client that takes little, but takes it, is waited for.
func TestSlowClientMakesProgress(t *testing.T) {
	t.Parallel()
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		s.SetWriteTimeout(300 * time.Millisecond)
		s.WriteHead(200, nil, 60_000)
		if _, err := s.Write(make([]byte, 60_000)); err != nil {
			t.Error(err)
		}
	})
	c := s.dial(&quic.Config{InitialStreamReceiveWindow: 5_000, MaxStreamReceiveWindow: 5_000})
	st := raw(t, c, true, getHead().frame())
	tick := time.NewTicker(50 * time.Millisecond) // 60 kB take 0.6 s
	defer tick.Stop()
	total := 0
	for buf := make([]byte, 5_000); ; <-tick.C {
		n, err := st.Read(buf)
		if total += n; err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
	}
	if total < 60_000 {
		t.Errorf("got %d bytes", total)
	}
}

// TestAnswerWithoutRoom: a whole answer for which the client has no room yet waits
// without a worker and arrives.
func TestAnswerWithoutRoom(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) { answer(s, 200, strings.Repeat("x", 2000)) })
	c := s.dial(&quic.Config{InitialStreamReceiveWindow: 600, MaxStreamReceiveWindow: 600, InitialConnectionReceiveWindow: 5000})
	if got := read(raw(t, c, true, getHead().frame())); got.err != nil || len(got.body) != 2000 {
		t.Errorf("got %d bytes, %v", len(got.body), got.err)
	}
}

func TestReadTimeout(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 3)
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		s.SetReadTimeout(100 * time.Millisecond)
		_, err := io.ReadAll(s)
		errs <- err
		answer(s, 408, "slow")
	})
	c := s.dial(nil)
	for name, b := range map[string][]byte{
		"before a frame": postHead().frame(), "inside a frame": join(postHead().frame(), []byte{0, 9, 'x'}), "inside the head of a frame": join(postHead().frame(), []byte{0}),
	} {
		got := read(raw(t, c, false, b))
		if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) || got.status() != 408 || got.err != nil {
			t.Errorf("%s: got %v and %+v", name, err, got)
		}
	}
}

func TestStopRead(t *testing.T) {
	errs := make(chan error, 2)
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		s.SetReadTimeout(time.Minute)
		go func() {
			_, err := io.ReadAll(s)
			errs <- err
			_, err = s.Read(make([]byte, 1))
			errs <- err
		}()
		s.WriteHead(200, nil, -1)
		_, _ = s.Write([]byte("the answer "))
		_ = s.Flush()
		s.StopRead()
		for range 2 {
			if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		_, _ = s.Write([]byte("goes on"))
	})
	got := read(raw(t, s.dial(nil), false, join(postHead().frame(), data("part"))))
	if got.err != nil || got.body != "the answer goes on" {
		t.Errorf("got %+v", got)
	}
}
