package origin_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/origin"
)

func TestAnswers(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		tr, _ := server(t, "tcp", o, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/204":
				w.WriteHeader(204)
			case "/304":
				w.WriteHeader(304)
			case "/chunks":
				w.Write(large[:5])
				http.NewResponseController(w).Flush()
				w.Write(large[5:])
			case "/empty":
			default:
				w.Header().Set("Content-Length", fmt.Sprint(len(large)))
				w.Header().Add("Set-Cookie", "a=1")
				w.Header().Add("Set-Cookie", "b=2")
				w.Write(large)
			}
		})
		for _, row := range []struct {
			method, path string
			status       int
			length       int64
			size         int
		}{
			{"GET", "/", 200, int64(len(large)), len(large)},
			{"HEAD", "/", 200, int64(len(large)), 0},
			{"GET", "/chunks", 200, -1, len(large)},
			{"GET", "/empty", 200, 0, 0},
			{"GET", "/204", 204, 0, 0},
			{"GET", "/304", 304, -1, 0},
			{"POST", "/", 200, int64(len(large)), len(large)},
		} {
			r := get(row.path)
			r.Method = row.method
			resp, body := read(t, tr, r)
			if resp.Status != row.status || resp.ContentLength != row.length || len(body) != row.size || !resp.Body.Complete() {
				t.Errorf("%s %s = %d, length %d, %d bytes, complete %v; want %v", row.method, row.path, resp.Status, resp.ContentLength, len(body), resp.Body.Complete(), row)
			}
			if row.path == "/" && len(resp.Header["Set-Cookie"]) != 2 || resp.Header["Content-Length"] != nil || resp.Header["Transfer-Encoding"] != nil {
				t.Errorf("header of %s: %v", row.path, resp.Header)
			}
		}
	})
}

func TestHeaderOfAnswerLosesWhatIsOfTheHop(t *testing.T) {
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nTe: x\r\n" +
			"Trailer: X-T\r\nX-Kept: 1\r\nX-Kept: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 9\r\n\r\n")
	})
	resp, body := read(t, tr, get("/"))
	if diff := cmp.Diff(http.Header{"X-Kept": {"1", "2"}}, resp.Header); diff != "" || body != "hi" || resp.ContentLength != -1 {
		t.Errorf("body %q, length %d\n%s", body, resp.ContentLength, diff)
	}
}

func TestLengthOf304(t *testing.T) {
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		for p.head() != "" {
			p.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
		}
	})
	for range 3 {
		if resp, body := read(t, tr, get("/")); resp.ContentLength != 77 || body != "" {
			t.Errorf("length %d, body %q", resp.ContentLength, body)
		}
	}
}

func TestSmallAnswerIsCompleteAfterOneRead(t *testing.T) {
	for _, answer := range []string{ok, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"} {
		tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
			p.head()
			p.send(answer)
			p.untilClosed()
		})
		resp, err := tr.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		var buf [100]byte
		if n, err := resp.Body.Read(buf[:]); n != 2 || err != io.EOF || !resp.Body.Complete() {
			t.Errorf("%q: Read = %d, %v, complete %v; want everything at once", answer, n, err, resp.Body.Complete())
		}
		resp.Body.Close()
	}
}

func TestInterimAnswers(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			for i := range len(r.URL.Path) - 1 {
				w.Header().Set("Link", fmt.Sprint(i))
				w.WriteHeader(103)
			}
			w.Header().Del("Link")
			io.WriteString(w, "end")
		})
		r := get("/xxx")
		var links []string
		var mu sync.Mutex
		r.Interim = func(status int, h http.Header) {
			mu.Lock()
			defer mu.Unlock()
			links = append(links, fmt.Sprintf("%d %s", status, h.Get("Link")))
		}
		if _, body := read(t, tr, r); body != "end" {
			t.Errorf("body %q", body)
		}
		if got := strings.Join(links, ","); got != "103 0,103 1,103 2" {
			t.Errorf("interim answers %q", got)
		}
		r.URI = "/" + strings.Repeat("x", 17)
		wants(t, fails(t, tr, r), origin.KindBadAnswer, false, "more than 16 interim")
	})
}

func TestSlowInterimHoldsUpOnlyItsOwnStream(t *testing.T) {
	tr, _ := server(t, "unix", origin.Options{HTTP2: true}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			w.WriteHeader(103)
		}
	})
	slow, entered, leave := get("/slow"), make(chan struct{}), make(chan struct{})
	slow.Interim = func(int, http.Header) {
		close(entered)
		<-leave
	}
	var done sync.WaitGroup
	done.Go(func() { read(t, tr, slow) })
	<-entered
	read(t, tr, get("/")) // would never return
	close(leave)
	done.Wait()
}

// TestPanicOfInterimGoesOnInDo: on its own goroutine it would end the process.
func TestPanicOfInterimGoesOnInDo(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		over := make(chan struct{})
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/early" {
				return
			}
			w.WriteHeader(103)
			<-r.Context().Done()
			close(over)
		})
		for _, value := range []any{"oops", http.ErrAbortHandler} {
			r := get("/early")
			r.Interim = func(int, http.Header) { panic(value) }
			func() {
				defer func() {
					p := recover()
					if p == nil || p != value && !strings.HasPrefix(fmt.Sprint(p), "oops\n\ngoroutine") {
						t.Errorf("Do panicked with %.80v, want %v", p, value)
					}
				}()
				_, _ = tr.Do(t.Context(), r) // panics
			}()
			<-over // the exchange is cut
			over = make(chan struct{})
		}
		read(t, tr, get("/"))
	})
}

func TestHeadsThatAreTooLarge(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/many" {
				for i := range 600 {
					w.Header().Set(fmt.Sprint("X-", i), "v")
				}
				return
			}
			for i := range 70 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("v", 1000))
			}
		})
		wants(t, fails(t, tr, get("/")), origin.KindBadAnswer, false, "larger than 64 KiB")
		wants(t, fails(t, tr, get("/many")), origin.KindBadAnswer, false, "more than 512 header fields")
	})
}

func TestUpgrade(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		tr := scripted(t, network, origin.Options{}, func(p *peer) {
			if h := p.head(); !strings.Contains(h, "Connection: Upgrade\r\nUpgrade: websocket\r\n") {
				t.Errorf("head %q", h)
			}
			p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nearly")
			b, _ := io.ReadAll(p.in)
			p.send(":" + string(b))
		})
		ctx, cancel := context.WithCancel(t.Context())
		r := get("/")
		r.Upgrade = "websocket"
		resp, err := tr.Do(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		cancel() // the connection outlives it
		want := http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Accept": {"x"}}
		if diff := cmp.Diff(want, resp.Header); diff != "" || resp.Status != 101 {
			t.Errorf("status %d\n%s", resp.Status, diff)
		}
		io.WriteString(resp.Conn, "to the member")
		resp.Conn.(interface{ CloseWrite() error }).CloseWrite()
		if b, err := io.ReadAll(resp.Conn); string(b) != "early:to the member" {
			t.Errorf("%s: read %q, %v", network, b, err)
		}
		resp.Conn.Close()
	}
}

func TestUpgradeThatNobodyAskedFor(t *testing.T) {
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		p.untilClosed()
	})
	wants(t, fails(t, tr, get("/")), origin.KindBadAnswer, false, "without being asked")
}

// TestOnlyWebSocketIsHandedOn: behind h2c the member would hear the client itself.
func TestOnlyWebSocketIsHandedOn(t *testing.T) {
	for _, to := range []string{"h2c", "HTTP/2.0", "TLS/1.0", "chat", "websocket, h2c", "h2c,websocket"} {
		heads := make(chan string, 1)
		tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
			heads <- p.head()
			p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + to + "\r\n\r\n")
			p.untilClosed()
		})
		r := get("/")
		r.Upgrade = to
		r.Header = origin.HeaderFields(http.Header{"Connection": {"Upgrade"}, "Upgrade": {to}})
		wants(t, fails(t, tr, r), origin.KindBadAnswer, false, "without being asked")
		if h := <-heads; strings.Contains(h, "Upgrade") || strings.Contains(h, "Connection") {
			t.Errorf("%s: the member saw %q", to, h)
		}
	}
}

func TestSwitchToAnotherProtocolThanWasAskedFor(t *testing.T) {
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		p.untilClosed()
	})
	r := get("/")
	r.Upgrade = "WebSocket"
	wants(t, fails(t, tr, r), origin.KindBadAnswer, false, "another protocol than it was asked for")
}

func TestAbortEndsARead(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		gone := make(chan struct{})
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			close(gone)
		})
		resp, err := tr.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		var buf [10]byte
		io.ReadFull(resp.Body, buf[:1])
		time.AfterFunc(10*time.Millisecond, resp.Body.Abort)
		_, err = resp.Body.Read(buf[:])
		wants(t, asError(t, err), origin.KindCanceled, false, "given up")
		<-gone
		resp.Body.Close()
		if _, err := resp.Body.Read(buf[:]); err != origin.ErrBodyClosed {
			t.Errorf("Read after Close: %v", err)
		}
	})
}

func TestContextEndsEverything(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		gone, begun := make(chan struct{}, 2), make(chan struct{}, 2)
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/body" {
				io.WriteString(w, "x")
				http.NewResponseController(w).Flush()
			}
			begun <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		_, err := tr.Do(ctx, get("/head"))
		wants(t, asError(t, err), origin.KindCanceled, false, "given up")
		<-gone

		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		resp, err := tr.Do(ctx, get("/body"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var buf [10]byte
		resp.Body.Read(buf[:])
		cancel()
		_, err = resp.Body.Read(buf[:])
		wants(t, asError(t, err), origin.KindCanceled, false, "given up")
		<-gone
		_, err = tr.Do(ctx, get("/"))
		wants(t, asError(t, err), origin.KindCanceled, true, "given up")
	})
}
