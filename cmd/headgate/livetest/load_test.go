package livetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// load is clients that ask as fast as they get answers, over every protocol.
type load struct {
	wg      sync.WaitGroup
	stop    context.CancelFunc
	served  map[protocol]*atomic.Int64
	leaving atomic.Bool // the gateway has been told to stop

	mu     sync.Mutex // guards the field below
	failed []string
}

// startLoad starts n clients for each protocol, half of which also post.
func startLoad(t testing.TB, g *gateway, n int, path string) *load {
	t.Helper()
	return startLoadOf(t, g, n, false, host, path, protocols)
}

// startLoadOf is startLoad for some host and some protocols. With fresh there are
// as many clients more that make a new connection for each request.
func startLoadOf(t testing.TB, g *gateway, n int, fresh bool, host, path string, protocols []protocol) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel, served: map[protocol]*atomic.Int64{}}
	for _, p := range protocols {
		l.served[p] = new(atomic.Int64)
	}
	for _, p := range protocols {
		url := p.scheme() + "://" + host + path
		for i := range n {
			client := g.client(t, p)
			l.wg.Go(func() { l.run(ctx, client, p, i%2 == 1, false, url) })
			if fresh {
				client := g.client(t, p)
				l.wg.Go(func() { l.run(ctx, client, p, i%2 == 1, true, url) })
			}
		}
	}
	t.Cleanup(func() {
		cancel()
		l.wg.Wait()
	})
	return l
}

func (l *load) run(ctx context.Context, client *http.Client, p protocol, post, fresh bool, url string) {
	for i := 0; ctx.Err() == nil; i++ {
		method, body := http.MethodGet, ""
		if post {
			method, body = http.MethodPost, fmt.Sprint("body ", i)
		}
		if err := l.once(ctx, client, method, url, body); err != nil {
			if l.leaving.Load() && refused(err) {
				return
			}
			if ctx.Err() == nil {
				l.fail(fmt.Sprintf("%s %s, request %d: %v", p, method, i, err))
			}
			return
		}
		l.served[p].Add(1)
		if fresh {
			client.CloseIdleConnections()
		}
	}
}

func (l *load) fail(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, what)
}

func (l *load) once(ctx context.Context, client *http.Client, method, url, body string) error {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.300s", resp.StatusCode, answer)
	}
	return err
}

// refused reports that the gateway did not take the request: nobody listens, or
// an h3 stream was rejected, which says that it was not processed.
func refused(err error) bool {
	var h3 *http3.Error
	if errors.As(err, &h3) && h3.ErrorCode == http3.ErrCodeRequestRejected {
		return true
	}
	var dial dialError
	return errors.As(err, &dial) || errors.Is(err, syscall.ECONNREFUSED)
}

// end stops the clients and reports what went wrong.
func (l *load) end(t testing.TB) {
	t.Helper()
	l.stop()
	l.wg.Wait()
	l.check(t)
}

func (l *load) check(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.failed {
		if i == 10 {
			t.Errorf("and %d more", len(l.failed)-10)
			break
		}
		t.Error(f)
	}
	for p, served := range l.served {
		n := served.Load()
		t.Logf("%s: %d requests", p, n)
		if n < 20 {
			t.Errorf("only %d requests over %s", n, p)
		}
	}
}
