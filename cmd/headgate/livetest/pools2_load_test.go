package livetest_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shot is one request of an open load: it is sent at its time, whatever has
// become of those before it.
type shot struct {
	at     time.Duration // from the beginning
	client int           // number of the client that sends it
	method string        // "": GET
	path   string
	body   string
}

// outcome is what became of a shot.
type outcome struct {
	shot
	ended  time.Duration // from the beginning
	status int           // 0: no whole answer came
	body   string
	err    error
}

// took is the time from when the request was due to the end of its answer.
func (o outcome) took() time.Duration { return o.ended - o.at }

func (o outcome) ok() bool { return o.err == nil && o.status == http.StatusOK }

// String says what went wrong.
func (o outcome) String() string {
	method := cmp.Or(o.method, http.MethodGet)
	if o.err != nil {
		return fmt.Sprintf("%s %s at %v: %v after %v", method, o.path, o.at.Round(time.Millisecond), o.err, o.took().Round(time.Millisecond))
	}
	return fmt.Sprintf("%s %s at %v: status %d after %v: %.200s", method, o.path, o.at.Round(time.Millisecond), o.status, o.took().Round(time.Millisecond), o.body)
}

// poisson makes shots at random times, rate of them a second on average, always
// the same for the same seed.
func poisson(seed uint64, rate float64, length time.Duration, one func(*rand.Rand) shot) []shot {
	r := rand.New(rand.NewPCG(seed, 4))
	var shots []shot
	for at := time.Duration(0); ; {
		at += time.Duration(r.ExpFloat64() / rate * float64(time.Second))
		if at >= length {
			return shots
		}
		s := one(r)
		s.at = at
		shots = append(shots, s)
	}
}

// shoot sends shots, which are in the order of their times, and returns what
// became of each. Those that have no answer when ctx ends are given up.
func shoot(ctx context.Context, shots []shot, client func(int) *http.Client) outcomes {
	return shootWith(ctx, ctx, shots, client)
}

// shootUntil is shoot, but when enough ends no more are sent, and all that were
// are waited for.
func shootUntil(enough context.Context, shots []shot, client func(int) *http.Client) outcomes {
	return shootWith(enough, context.WithoutCancel(enough), shots, client)
}

func shootWith(enough, ctx context.Context, shots []shot, client func(int) *http.Client) outcomes {
	out := make(outcomes, len(shots))
	begin := time.Now()
	var wg sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	n := 0
	for i, s := range shots {
		timer.Reset(time.Until(begin.Add(s.at)))
		select {
		case <-timer.C:
		case <-enough.Done():
		}
		if enough.Err() != nil {
			break
		}
		n++
		wg.Go(func() {
			o := outcome{shot: s}
			o.status, o.body, o.err = send(ctx, client(s.client), s)
			o.ended = time.Since(begin)
			out[i] = o
		})
	}
	wg.Wait()
	return out[:n]
}

func send(ctx context.Context, client *http.Client, s shot) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, cmp.Or(s.method, http.MethodGet), h1.url(s.path), strings.NewReader(s.body))
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	return resp.StatusCode, string(b), nil
}

// from makes clients of addr in plain HTTP/1.1, each with an address of its own:
// 127.0.0.2 for the first.
func from(t testing.TB, addr string, n int) func(int) *http.Client {
	t.Helper()
	clients := make([]*http.Client, n)
	for i := range clients {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i))}}
		tr := &http.Transport{
			DisableCompression: true, MaxIdleConnsPerHost: 1000, MaxIdleConns: 1000,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) },
		}
		t.Cleanup(tr.CloseIdleConnections)
		clients[i] = &http.Client{Transport: tr}
	}
	return func(i int) *http.Client { return clients[i] }
}

// outcomes of one load, in the order of their shots.
type outcomes []outcome

// wantAll: every one of them was answered with 200.
func (o outcomes) wantAll(t testing.TB) {
	t.Helper()
	bad := o.where(func(o outcome) bool { return !o.ok() })
	for i, f := range bad {
		if i == 10 {
			t.Errorf("and %d more", len(bad)-10)
			return
		}
		t.Error(f)
	}
}

// where returns those that are wanted.
func (o outcomes) where(want func(outcome) bool) (out outcomes) {
	for _, one := range o {
		if want(one) {
			out = append(out, one)
		}
	}
	return out
}

// answered returns those that were answered with 200.
func (o outcomes) answered() outcomes { return o.where(outcome.ok) }

// quantile of how long those took that were answered with 200; 0 of none.
func (o outcomes) quantile(q float64) time.Duration {
	var took []time.Duration
	for _, one := range o.answered() {
		took = append(took, one.took())
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)].Round(100 * time.Microsecond)
}

// middle is the median of any number of times; 0 of none.
func middle(of []time.Duration) (m time.Duration) {
	if len(of) > 0 {
		m = slices.Sorted(slices.Values(of))[len(of)/2]
	}
	return m
}
