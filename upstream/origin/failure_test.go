package origin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/upstream/origin"
)

// TestNoHead is about members that do not answer as they should. None of them
// has ever spoken HTTP before.
func TestNoHead(t *testing.T) {
	for _, row := range []struct {
		name   string
		script func(p *peer)
		kind   origin.Kind
		never  bool // by unix; what tcp proves is tested elsewhere
		words  string
	}{
		{"closed after the request", func(p *peer) { p.head() }, "no_answer", false, "write protocol: uwsgi"},
		{"closed with the request unread", func(p *peer) { p.Read(make([]byte, 5)) }, "no_answer", true, "write protocol: uwsgi"},
		{"cut in the head", func(p *peer) { p.head(); p.send("HTTP/1.1 200 OK\r\nA:") }, "no_answer", false, "in the middle of the response's head"},
		{"garbage", func(p *peer) { p.head(); p.send("hello there\r\n\r\n") }, "bad_answer", true, `begins with "hello there`},
		{"TLS", func(p *peer) { p.head(); p.send("\x15\x03\x01\x00\x02\x02\x46") }, "bad_answer", true, "speaks TLS"},
		{"SSH", func(p *peer) { p.send("SSH-2.0-OpenSSH_9.2\r\n"); p.head() }, "bad_answer", true, "SSH"},
		{"HTTP/2", func(p *peer) { p.head(); p.send("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64") }, "bad_answer", true, "write protocol: h2c"},
		{"bad status", func(p *peer) { p.head(); p.send("HTTP/1.1 20x OK\r\n\r\n") }, "bad_answer", false, "not valid"},
		{"bad field", func(p *peer) { p.head(); p.send("HTTP/1.1 200 OK\r\nA B: c\r\n\r\n") }, "bad_answer", false, "name may have in \"A B\""},
		{"control byte", func(p *peer) { p.head(); p.send("HTTP/1.1 200 OK\r\nA: c\x00\r\n\r\n") }, "bad_answer", false, "not valid"},
		{"two lengths", func(p *peer) { p.head(); p.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi") }, "bad_answer", false, "not valid"},
		{"silent", func(p *peer) { p.untilClosed() }, "timeout", false, "no answer within 0.2 s"},
		{"silent in the head", func(p *peer) { p.head(); p.send("HTTP/1.1 2"); p.untilClosed() }, "timeout", false, "was not complete"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := scripted(t, "unix", origin.Options{ResponseTimeout: 200 * time.Millisecond}, row.script)
			wants(t, fails(t, tr, get("/")), row.kind, row.never, row.words)
		})
	}
}

func TestNoHTTP2(t *testing.T) {
	for _, row := range []struct {
		name   string
		script func(p *peer)
		kind   origin.Kind
		away   bool
		words  string
	}{
		{"HTTP/1.1", func(p *peer) { p.head(); p.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") }, "bad_answer", false, "write protocol: http"},
		{"garbage", func(p *peer) { p.head(); p.send("hello there, this is no frame") }, "bad_answer", false, "begins with"},
		{"silent", func(p *peer) { p.untilClosed() }, "timeout", true, "did not answer to HTTP/2 within 0.2 s"},
		{"closed", func(p *peer) {}, "unavailable", true, "write protocol: uwsgi"},
		{"closed after reading", func(p *peer) { p.head() }, "unavailable", true, "write protocol: uwsgi"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := scripted(t, "tcp", origin.Options{HTTP2: true, ConnectTimeout: 200 * time.Millisecond}, row.script)
			e := fails(t, tr, get("/"))
			wants(t, e, row.kind, true, row.words)
			if r := asError(t, tr.Reach(t.Context())); e.Away() != row.away || r.Kind != row.kind {
				t.Errorf("away %v; Reach: %v", e.Away(), r)
			}
		})
	}
}

func TestSilentMemberOfHTTP2(t *testing.T) {
	tr, _ := server(t, "unix", origin.Options{HTTP2: true, ResponseTimeout: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})
	wants(t, fails(t, tr, get("/")), origin.KindTimeout, false, "no answer within 0.2 s")
}

func TestBodiesThatAreCut(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		kind         origin.Kind
		words        string
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi", "cut", "8 of 10 bytes are missing"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "cut", "last chunk is missing"},
		{"in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi", "cut", "last chunk is missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := scripted(t, "tcp", origin.Options{}, func(p *peer) { p.head(); p.send(row.answer) })
			resp, err := tr.Do(t.Context(), get("/"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			wants(t, asError(t, err), row.kind, false, row.words)
			if string(b) != "hi" || resp.Body.Complete() {
				t.Errorf("body %q, complete %v", b, resp.Body.Complete())
			}
		})
	}
	t.Run("bad chunk", func(t *testing.T) {
		tr := scripted(t, "tcp", origin.Options{}, func(p *peer) {
			p.head()
			p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n")
			p.untilClosed()
		})
		resp, err := tr.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		wants(t, asError(t, err), origin.KindCut, false, "chunks of the response are not valid")
	})
}

func TestBodyCutOverHTTP2(t *testing.T) {
	tr, _ := server(t, "tcp", origin.Options{HTTP2: true}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hi")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := tr.Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	wants(t, asError(t, err), origin.KindCut, false, "cut in its body")
}

func TestBodyThatFallsSilent(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		o.ResponseTimeout = 100 * time.Millisecond
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hi")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		resp, err := tr.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		e := asError(t, err)
		wants(t, e, origin.KindTimeout, false, "nothing more of the response's body within 0.1 s")
		if !e.Timeout() {
			t.Error("not a timeout")
		}
	})
}

// slowBody is a client: a Read waits until it is stopped.
type slowBody struct {
	first   string
	stopped chan struct{}
	once    sync.Once
	reading sync.Mutex // held while a Read goes on
}

func newSlowBody(first string) *slowBody {
	return &slowBody{first: first, stopped: make(chan struct{})}
}

func (b *slowBody) stop() { b.once.Do(func() { close(b.stopped) }) }

func (b *slowBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if n := copy(p, b.first); n > 0 {
		b.first = b.first[n:]
		return n, nil
	}
	<-b.stopped
	return 0, errors.New("stopped")
}

func (b *slowBody) request() *origin.Request {
	r := get("/")
	r.Method, r.Body, r.ContentLength, r.StopBody = "POST", b, 1000, b.stop
	return r
}

func TestMemberThatDiesWhileTheClientSends(t *testing.T) {
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) { p.head(); io.ReadFull(p.in, make([]byte, 2)) })
	b := newSlowBody("ab")
	wants(t, fails(t, tr, b.request()), origin.KindNoAnswer, false, "closed without an answer")
	if !b.reading.TryLock() {
		t.Error("the body is still being read")
	}
}

// TestStoppedClientIsNotOneThatLeft: how a client is stopped ends the context of
// its request over HTTP/1.
func TestStoppedClientIsNotOneThatLeft(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"} {
		tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
			p.head()
			io.ReadFull(p.in, make([]byte, 2))
			p.send(answer)
		})
		ctx, cancel := context.WithCancel(t.Context())
		b := newSlowBody("ab")
		r := b.request()
		r.StopBody = func() { cancel(); b.stop() }
		resp, err := tr.Do(ctx, r)
		if answer == "" {
			wants(t, asError(t, err), origin.KindNoAnswer, false, "closed without an answer")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		wants(t, asError(t, err), origin.KindCut, false, "cut in its body")
		resp.Body.Close()
	}
}

func TestGarbageWhileTheClientSends(t *testing.T) {
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) { p.head(); p.send("HTTP/1.1 what\r\n\r\n"); p.untilClosed() })
	b := newSlowBody("ab")
	wants(t, fails(t, tr, b.request()), origin.KindBadAnswer, false, "not valid")
}

func TestContextEndsWhileTheClientSends(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		begun := make(chan struct{})
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			io.Copy(io.Discard, r.Body)
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		b := newSlowBody("ab")
		_, err := tr.Do(ctx, b.request())
		wants(t, asError(t, err), origin.KindCanceled, false, "given up")
		if !b.reading.TryLock() {
			t.Error("the body is still being read")
		}
	})
}

func TestEarlyAnswer(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(413)
			io.WriteString(w, "too much")
		})
		for range 20 {
			r := post(strings.Repeat("x", 4<<20))
			if resp, body := read(t, tr, r); resp.Status != 413 || body != "too much" {
				t.Fatalf("%d %q", resp.Status, body)
			}
		}
		b := newSlowBody("ab")
		if resp, body := read(t, tr, b.request()); resp.Status != 413 || body != "too much" {
			t.Errorf("%d %q", resp.Status, body)
		}
		if !b.reading.TryLock() {
			t.Error("the body is still being read")
		}
	})
}

// TestEarlyAnswerOfAMemberThatClosesAtOnce: the request's bytes lie unread, so
// that its close is a reset.
func TestEarlyAnswerOfAMemberThatClosesAtOnce(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		tr := scripted(t, network, origin.Options{}, func(p *peer) {
			p.head()
			p.send("HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much")
		})
		good := 0
		for range 50 {
			resp, err := tr.Do(t.Context(), post(strings.Repeat("x", 1<<20)))
			if err != nil {
				continue
			}
			if b, err := io.ReadAll(resp.Body); err == nil && string(b) == "too much" {
				good++
			}
			resp.Body.Close()
		}
		if good < 45 { // of tcp the reset may overtake the answer
			t.Errorf("%s: %d of 50 early answers came through", network, good)
		}
	}
}

func TestBodyOfTheClientFails(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		broken := errors.New("reset by client")
		r := get("/")
		r.Method, r.ContentLength = "POST", 10
		r.Body = io.MultiReader(strings.NewReader("ab"), errReader{broken})
		e := fails(t, tr, r)
		wants(t, e, origin.KindBody, false, "request's body")
		if !errors.Is(e, broken) || !e.Blameless() {
			t.Errorf("%v, blameless %v", e, e.Blameless())
		}
		r.Body = strings.NewReader("short")
		wants(t, fails(t, tr, r), origin.KindBody, false, "request's body")
		long := get("/")
		long.Method, long.Body, long.ContentLength = "POST", strings.NewReader("longer than it says"), 3
		read(t, tr, long)
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestMemberThatTakesNothing(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		o.ResponseTimeout = 200 * time.Millisecond
		over := make(chan struct{})
		defer close(over)
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) { <-over })
		e := fails(t, tr, post(strings.Repeat("x", 8<<20)))
		wants(t, e, origin.KindTimeout, false, "took nothing of the request for 0.2 s")
		if e.Stage != origin.StageSend {
			t.Errorf("stage %s", e.Stage)
		}
	})
}
