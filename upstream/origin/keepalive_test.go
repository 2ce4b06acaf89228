package origin_test

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/upstream/origin"
)

func TestConnectionsAreUsedAgain(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		var mu sync.Mutex
		peers := map[string]bool{}
		tr, _ := server(t, "tcp", o, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			peers[r.RemoteAddr] = true
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d", len(b))
		})
		for i := range 50 {
			r := get("/")
			if i%2 == 1 {
				r = post("body")
				r.Method = http.MethodPut // POST with a body has a new one
			}
			read(t, tr, r)
		}
		used := len(peers)
		if used > 10 { // one, unless this machine is busy
			t.Errorf("50 requests one after another took %d connections", used)
		}
		tr.CloseIdle()
		read(t, tr, get("/"))
		if len(peers) != used+1 {
			t.Errorf("%d connections, want %d: CloseIdle leaves none", len(peers), used+1)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.URL.Path, b)
		})
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				for j := range 25 {
					r := post(fmt.Sprint(i, j))
					r.URI = fmt.Sprint("/", i)
					if _, body := read(t, tr, r); body != fmt.Sprint("/", i, " ", i, j) {
						t.Errorf("request %d %d got %q", i, j, body)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestConnectionOfAnUnfinishedAnswerIsClosed(t *testing.T) {
	closed := make(chan struct{}, 1)
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhi")
		p.untilClosed()
		closed <- struct{}{}
	})
	resp, err := tr.Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	<-closed
}

// TestBytesBehindAnAnswer: what a member says too much must never become the
// answer to another request.
func TestBytesBehindAnAnswer(t *testing.T) {
	log.SetOutput(io.Discard) // package net/http logs each of them
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		for p.head() != "" {
			p.send(ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		}
	})
	for range 200 {
		if _, body := read(t, tr, get("/")); body != "hi" {
			t.Fatalf("got %q", body)
		}
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		closed := make(chan time.Time, 1)
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {}, func(state http.ConnState) {
			if state == http.StateClosed {
				closed <- time.Now()
			}
		})
		read(t, tr, get("/"))
		begun := time.Now()
		if idle := (<-closed).Sub(begun); idle < time.Second || idle > 1900*time.Millisecond {
			t.Errorf("it was closed after %v, want 1.5 s", idle)
		}
	})
}

// TestBodyBehindHead: many apps answer HEAD with a body.
func TestBodyBehindHead(t *testing.T) {
	var said strings.Builder // package net/http would log the app's bytes
	log.SetOutput(&said)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		for p.head() != "" {
			p.send(ok)
		}
	})
	for range 50 {
		r := get("/")
		r.Method = "HEAD"
		if resp, body := read(t, tr, r); resp.ContentLength != 2 || body != "" {
			t.Fatalf("length %d, body %q", resp.ContentLength, body)
		}
		if _, body := read(t, tr, get("/")); body != "hi" {
			t.Fatalf("got %q", body)
		}
	}
	if said.Len() > 0 {
		t.Errorf("logged: %s", said.String())
	}
}

// TestStaleConnectionIsTriedAgain: the member closes a kept connection at the
// moment at which a request comes.
func TestStaleConnectionIsTriedAgain(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		tr := scripted(t, network, origin.Options{}, func(p *peer) {
			p.head()
			p.send(ok)
			if p.nth == 1 {
				p.head() // and closes without an answer
			}
		})
		read(t, tr, get("/"))
		if _, body := read(t, tr, get("/")); body != "hi" {
			t.Errorf("body %q", body)
		}
	}
}

// TestReadButUnansweredPostIsNotSentAgain: the member has read it whole.
func TestReadButUnansweredPostIsNotSentAgain(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		var posts atomic.Int64
		tr := scripted(t, network, origin.Options{}, func(p *peer) {
			for h := p.head(); h != ""; h = p.head() {
				if strings.HasPrefix(h, "POST") {
					posts.Add(1)
					return
				}
				p.send(ok)
			}
		})
		read(t, tr, get("/"))
		r := get("/")
		r.Method = "POST"
		wants(t, fails(t, tr, r), origin.KindNoAnswer, false, "closed without an answer")
		if n := posts.Load(); n != 1 {
			t.Errorf("%s: the member saw %d posts", network, n)
		}
	}
}

// TestNoPostRunsTwice lets a member close kept connections at any moment, as
// servers do that shut down or whose keep-alive is over. Whatever it has read
// must not be sent again, and what it has not read must come through.
func TestNoPostRunsTwice(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for _, body := range []string{"", "b"} {
			t.Run(network+body, func(t *testing.T) {
				var mu sync.Mutex
				ran := map[string]int{}
				tr := scripted(t, network, origin.Options{}, func(p *peer) {
					for n := range 3 {
						h := p.head()
						if h == "" {
							return
						}
						line, _, _ := strings.Cut(h, "\r\n")
						io.CopyN(io.Discard, p.in, int64(len(body)))
						mu.Lock()
						ran[line]++
						mu.Unlock()
						p.send(ok)
						if n == 2 {
							spin(rand.N(100 * time.Microsecond)) // then it closes
						}
					}
				})
				failed := 0
				for i := range 3000 {
					r := post(body)
					r.URI = fmt.Sprint("/", i)
					line := "POST " + r.URI + " HTTP/1.1"
					resp, err := tr.Do(t.Context(), r)
					mu.Lock()
					times := ran[line]
					mu.Unlock()
					if err != nil {
						failed++
						if e := asError(t, err); e.Unsent() && times > 0 {
							t.Fatalf("%v says that it never ran, and it did", e)
						}
						continue
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if times != 1 {
						t.Fatalf("request %d ran %d times", i, times)
					}
					spin(rand.N(100 * time.Microsecond))
				}
				if failed > 0 {
					t.Errorf("%d of 3000 failed", failed)
				}
			})
		}
	}
}

// spin lets a moment pass that is shorter than a timer's.
func spin(d time.Duration) {
	for begun := time.Now(); time.Since(begun) < d; {
	}
}
