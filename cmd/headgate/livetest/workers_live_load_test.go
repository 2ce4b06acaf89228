package livetest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// crewClient is a client that asks as fast as it gets answers.
type crewClient struct {
	p    protocol
	body int    // bytes of the body; 0: GET
	nap  string // seconds that each request takes
}

// crewClients keep their connections: GET and POST of 64 KiB over every protocol, and
// slow ones among them.
var crewClients = []crewClient{
	{h1, 0, "0.01"},
	{h1, 64 << 10, "0.01"},
	{h1, 0, "0.3"},
	{h1, 64 << 10, "0.3"},
	{h2, 0, "0.01"},
	{h2, 64 << 10, "0.01"},
	{h2, 0, "0.3"},
	{h3, 0, "0.02"},
	{h3, 64 << 10, "0.02"},
}

// crewCall is a request, and how it went.
type crewCall struct {
	crewClient
	id         string
	begin, end time.Time
	status     int // 0: no answer
	pid        int // of who has answered
	round      string
	why        string
}

func (c crewCall) String() string {
	return fmt.Sprintf("%s %s with %d bytes, %v: status %d: %.300s", c.p, c.id, c.body, c.end.Sub(c.begin).Round(time.Millisecond), c.status, c.why)
}

func (c crewCall) method() string {
	if c.body > 0 {
		return http.MethodPost
	}
	return http.MethodGet
}

// crewLoad is clients at work.
type crewLoad struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu    sync.Mutex // guards the field below
	calls []crewCall
}

func startCrewLoad(t testing.TB, w *crew, clients []crewClient) *crewLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &crewLoad{stop: cancel}
	for i, c := range clients {
		ask := w.asker(t, c.p)
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l.note(c.call(ask, fmt.Sprintf("%d-%d", i, n)))
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		l.wg.Wait()
	})
	return l
}

// asker returns a client that never sends a request twice of its own accord. Its
// requests have a deadline, and no other end.
func (w *crew) asker(t testing.TB, p protocol) func(method, path string, body []byte) (reply, error) {
	t.Helper()
	if p == h1 {
		c := &wire{addr: w.http}
		t.Cleanup(c.close)
		return c.ask
	}
	client := w.client(t, p)
	return func(method, path string, body []byte) (reply, error) {
		ctx, cancel := context.WithTimeout(context.Background(), wireTimeout)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, p.url(path), io.MultiReader(bytes.NewReader(body)))
		if err != nil {
			return reply{}, err
		}
		if r.ContentLength = int64(len(body)); len(body) == 0 {
			r.Body = nil
		}
		resp, err := client.Do(r)
		if err != nil {
			return reply{}, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return reply{resp.StatusCode, resp.Header, string(b)}, err
	}
}

// call makes one request and looks at the answer.
func (c crewClient) call(ask func(string, string, []byte) (reply, error), id string) crewCall {
	call := crewCall{crewClient: c, id: id, begin: time.Now()}
	var body []byte
	if c.body > 0 {
		body = make([]byte, c.body)
	}
	a, err := ask(call.method(), "/work?s="+c.nap+"&id="+id, body)
	call.end, call.status, call.why = time.Now(), a.status, oneLine(a.body)
	if err != nil {
		call.status, call.why = 0, err.Error()
		return call
	}
	var got string
	var length int
	if a.status == http.StatusOK {
		if _, err := fmt.Sscan(a.body, &got, &call.pid, &length, &call.round); err != nil || got != id || length != c.body {
			call.status = 0
		}
	}
	return call
}

func (l *crewLoad) note(c crewCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
}

// answered returns how many requests were answered since a time.
func (l *crewLoad) answered(since time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range slices.Backward(l.calls) {
		if c.begin.Before(since) {
			break // nearly all before it are older
		}
		if c.status == http.StatusOK {
			n++
		}
	}
	return n
}

// end stops the clients and returns all they have done.
func (l *crewLoad) end() []crewCall {
	l.stop()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

// wantAllAnswered: no request has failed, and there were some over every protocol.
// Each process may be one that has answered.
func wantAllAnswered(t *testing.T, calls []crewCall) (pids map[int]int) {
	t.Helper()
	failed, pids, by := 0, map[int]int{}, map[protocol]int{}
	for _, c := range calls {
		by[c.p]++
		if c.status == http.StatusOK {
			pids[c.pid]++
			continue
		}
		if failed++; failed <= 10 {
			t.Errorf("failed: %s", c)
		}
	}
	if failed > 10 {
		t.Errorf("%d requests have failed", failed)
	}
	t.Logf("%d requests, %d failed, by %d processes: %v", len(calls), failed, len(pids), by)
	for _, p := range []protocol{h1, h2, h3} {
		if by[p] < 10 {
			t.Errorf("only %d requests over %s", by[p], p)
		}
	}
	return pids
}

// percentile of how long requests took that keep is true for; of those that rest so
// long that it shows.
func percentile(calls []crewCall, p float64, keep func(crewCall) bool) time.Duration {
	var all []time.Duration
	for _, c := range calls {
		if c.nap != "0.3" && keep(c) {
			all = append(all, c.end.Sub(c.begin))
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(float64(len(all))*p))]
}
