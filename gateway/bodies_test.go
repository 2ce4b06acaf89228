package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// echoesWhole answers with the body of each request, with or without its length, whole
// or in parts.
func echoesWhole(t *testing.T) *uwsgitest.Worker {
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		mode := len(r.Body) % 4
		head := "HTTP/1.1 200 OK\r\nX-Key: " + r.Var("HTTP_X_KEY") + "\r\n"
		if mode > 1 {
			head += fmt.Sprintf("Content-Length: %d\r\n", len(r.Body))
		}
		c.Send(head + "\r\n")
		b := r.Body
		for mode%2 == 1 && len(b) > 0 {
			n := min(len(b), 1+len(r.Body)/7)
			c.Send(string(b[:n]))
			b = b[n:]
		}
		c.Send(string(b))
	})
}

// pattern is a body of which every part tells whose it is.
func pattern(key uint64, n int) []byte {
	p := make([]byte, 0, n+64)
	for i := 0; len(p) < n; i++ {
		p = fmt.Appendf(p, "%d:%d,%x;", key, i, uint64(i)*key*0x9e3779b97f4a7c15)
	}
	p = p[:n]
	return p
}

// slowBody gives a body in small parts.
type slowBody struct {
	r    *bytes.Reader
	step int // at most in a part
}

func (s *slowBody) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.step)]) }

// TestBodiesStayTheirOwn: among many requests at once, of which some are given up
// at any time, every body comes through as it was, in both directions.
func TestBodiesStayTheirOwn(t *testing.T) {
	for _, p := range []gatewaytest.Protocol{gatewaytest.H2, gatewaytest.H2C, gatewaytest.H3} {
		for _, conf := range []string{"{pool: app}", "{pool: app, request_body: stream}"} {
			t.Run(p.String()+conf[10:], func(t *testing.T) {
				w := echoesWhole(t)
				site := before(w)
				site.Routes = conf
				site.Pool = "slots: 16"
				site.Limits = "body: 4MiB"
				g := gatewaytest.Start(t, site.String())
				var wg sync.WaitGroup
				for n := range 6 {
					c := g.Client(t, p)
					wg.Go(func() {
						rnd := rand.New(rand.NewPCG(uint64(n), 7))
						for i := range 20 {
							askForPattern(t, c, rnd, uint64(n)<<32|uint64(i))
						}
					})
				}
				wg.Wait()
				until(t, "idle pool", func() bool {
					s := g.Snapshot()
					n := int64(0)
					for _, m := range s.Pools[0].Members {
						n += m.InFlight
					}
					return n == 0 && s.Pools[0].Queued == 0
				})
			})
		}
	}
}

func askForPattern(t *testing.T, c *gatewaytest.Client, rnd *rand.Rand, key uint64) {
	size := rnd.IntN(4 << 10)
	switch rnd.IntN(4) {
	case 0:
		size = rnd.IntN(300 << 10)
	case 1:
		size = rnd.IntN(64 << 10)
	}
	body := pattern(key, size)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	giveUp := rnd.IntN(4) == 0
	if giveUp {
		time.AfterFunc(time.Duration(rnd.IntN(20000))*time.Microsecond, cancel)
	}
	var in io.Reader = bytes.NewReader(body)
	if rnd.IntN(2) == 0 {
		in = &slowBody{bytes.NewReader(body), 1 + rnd.IntN(20000)}
	}
	k := fmt.Sprint(key)
	r := c.Request("POST", "/", in, "X-Key: "+k).WithContext(ctx)
	r.ContentLength = int64(size)
	if rnd.IntN(3) == 0 {
		r.ContentLength = -1
	}
	resp, err := c.Open(r)
	if err != nil {
		if !giveUp {
			t.Errorf("%s: %v", k, err)
		}
		return
	}
	defer resp.Body.Close()
	if giveUp && rnd.IntN(2) == 0 {
		_, _ = io.CopyN(io.Discard, resp.Body, int64(rnd.IntN(size+1)))
		return
	}
	got, err := io.ReadAll(resp.Body)
	if giveUp && err != nil {
		return
	}
	if resp.StatusCode == 400 && giveUp {
		return
	}
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("X-Key") != k || !bytes.Equal(got, body) {
		t.Errorf("%s: %d with key %s, %d of %d bytes, %v: %.100s", k, resp.StatusCode, resp.Header.Get("X-Key"), len(got), size, err, strings.ToValidUTF8(string(got), "?"))
	}
}

// TestCanceledUploadIsNoFaultOfTheBody: a client that gives up while its body is
// on the way is logged as one that went away (499), on every protocol.
func TestCanceledUploadIsNoFaultOfTheBody(t *testing.T) {
	for _, p := range []gatewaytest.Protocol{gatewaytest.H2, gatewaytest.H2C, gatewaytest.H3} {
		t.Run(p.String(), func(t *testing.T) {
			w := echoesWhole(t)
			c := alone(t, p, before(w))
			for range 8 {
				ctx, cancel := context.WithCancel(t.Context())
				pr, pw := io.Pipe()
				r := c.Request("POST", "/", pr).WithContext(ctx)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if resp, err := c.Open(r); err == nil {
						resp.Body.Close()
					}
				}()
				fmt.Fprint(pw, strings.Repeat("x", 20<<10)) // returns when it was taken
				<-time.After(20 * time.Millisecond)
				cancel()
				pw.CloseWithError(context.Canceled)
				wait(t, ended, "the request's end")
				line := c.Gateway.Request(r.Header.Get("X-Request-Id"))
				if line.Number("status") != 499 {
					t.Errorf("logged as %v: %s", line.Number("status"), line.Text("err"))
				}
			}
		})
	}
}
