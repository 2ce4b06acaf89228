package livetest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The slow clients: how many of each kind, and what one moves at each beat.
const (
	slowClients = 200
	slowBeat    = 125 * time.Millisecond
	slowUp      = 64 << 10 // bytes of an upload, at 8 KiB/s
	slowUpStep  = 1 << 10
	slowDown    = 1 << 20 // bytes of an answer, read at 64 KiB/s
	slowDnStep  = 8 << 10
)

// slow is clients that take their time. The i-th of each kind begins as if it had
// done i/slowClients of its first request already, so that at any moment some
// begin and some end.
type slow struct {
	addr     string
	stop     context.CancelFunc
	wg       sync.WaitGroup
	ups, dns atomic.Int64 // requests that are complete
	mu       sync.Mutex   // guards the field below
	failed   []string
}

func startSlow(addr string, ramp time.Duration) *slow {
	ctx, cancel := context.WithCancel(context.Background())
	s := &slow{addr: addr, stop: cancel}
	for i := range slowClients {
		begin := time.Duration(i) * ramp / slowClients
		s.wg.Go(func() { s.repeat(ctx, begin, i, s.upload, &s.ups) })
		s.wg.Go(func() { s.repeat(ctx, begin, i, s.download, &s.dns) })
	}
	return s
}

func (s *slow) end() {
	s.stop()
	s.wg.Wait()
}

// repeat does one request after the other, the first with a head start.
func (s *slow) repeat(ctx context.Context, begin time.Duration, i int, do func(context.Context, net.Conn, *time.Ticker, int) error, done *atomic.Int64) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(begin):
	}
	beat := time.NewTicker(slowBeat)
	defer beat.Stop()
	for head := i; ctx.Err() == nil; head = 0 {
		err := s.one(ctx, beat, head, do)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.mu.Lock()
			s.failed = append(s.failed, err.Error())
			s.mu.Unlock()
			return
		}
		done.Add(1)
	}
}

func (s *slow) one(ctx context.Context, beat *time.Ticker, head int, do func(context.Context, net.Conn, *time.Ticker, int) error) error {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	return do(ctx, c, beat, head)
}

// upload sends a body by and by, and wants an answer.
func (s *slow) upload(ctx context.Context, c net.Conn, beat *time.Ticker, head int) error {
	body := bytes.Repeat([]byte("x"), slowUp)
	request := requestBytes(http.MethodPost, "/page?body=1", body)
	at := len(request) - slowUp + slowUp*head/slowClients
	_, err := c.Write(request[:at])
	for err == nil && at < len(request) && await(ctx, beat) {
		n := min(slowUpStep, len(request)-at)
		_, err = c.Write(request[at : at+n])
		at += n
	}
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.Contains(answer, fmt.Appendf(nil, `"echo.body_bytes": "%d"`, slowUp))) {
		err = fmt.Errorf("upload: status %d: %s", resp.StatusCode, answer)
	}
	return err
}

// download reads an answer by and by.
func (s *slow) download(ctx context.Context, c net.Conn, beat *time.Ticker, head int) error {
	_ = c.(*net.TCPConn).SetReadBuffer(64 << 10) // or the kernel would read it all at once
	if _, err := c.Write(requestBytes(http.MethodGet, fmt.Sprintf("/blob?counted=1&n=%d", slowDown), nil)); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	in := bufio.NewReaderSize(c, 1024)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("download: status %d", resp.StatusCode)
	}
	step := max(1, slowDown*head/slowClients)
	for left := slowDown; left > 0; step = slowDnStep {
		n, err := io.CopyN(io.Discard, resp.Body, int64(min(step, left)))
		if err != nil {
			return fmt.Errorf("download: %w with %d bytes left", err, left-int(n))
		}
		if left -= int(n); !await(ctx, beat) {
			break
		}
	}
	return nil
}

// await waits for the next beat and reports whether there is one.
func await(ctx context.Context, beat *time.Ticker) bool {
	select {
	case <-beat.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fastTimes sends fast requests at a steady pace for a while, and returns how
// long each took.
func fastTimes(t *testing.T, addr string, d time.Duration) (all []time.Duration) {
	t.Helper()
	var mu sync.Mutex // guards all
	var wg sync.WaitGroup
	over := time.Now().Add(d)
	for range 4 {
		wg.Go(func() {
			w := wire{addr: addr}
			defer w.close()
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for time.Now().Before(over) {
				<-pace.C
				begin := time.Now()
				a, err := w.ask(http.MethodGet, "/nap?s=0.002", nil)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("fast request: status %d, %v", a.status, err)
					return
				}
				mu.Lock()
				all = append(all, time.Since(begin))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all
}

// TestSlowClients: those who take their time keep no worker, and nobody waits for
// them.
func TestSlowClients(t *testing.T) {
	a := startApp(t, "--processes", "2")
	g := startGateway(t, conf{socket: a.socket})
	fastTimes(t, g.http, time.Second) // warm
	steadily(t, 0.5, func() (wrong []string) {
		const rounds = 3
		var without, with, ratios []time.Duration // ratios in thousandths
		var ups, dns int64
		before := quantile(fastTimes(t, g.http, 2500*time.Millisecond), 0.99)
		for range rounds {
			s := startSlow(g.http, 2*time.Second)
			fastTimes(t, g.http, 2*time.Second)
			during := quantile(fastTimes(t, g.http, 4*time.Second), 0.99)
			s.end()
			after := quantile(fastTimes(t, g.http, 2500*time.Millisecond), 0.99)
			without, with = append(without, (before+after)/2), append(with, during)
			ratios = append(ratios, 2000*during/(before+after))
			before = after
			ups, dns = ups+s.ups.Load(), dns+s.dns.Load()
			for _, f := range s.failed {
				t.Error(f)
			}
		}
		ratio := float64(median(ratios)) / 1000
		t.Logf("p99 of fast requests %s without and %s with %d slow uploads and %d slow downloads, %d and %d of them complete: %.2f times (medians)",
			ms(median(without)), ms(median(with)), slowClients, slowClients, ups, dns, ratio)
		if ups < 100*rounds || dns < 40*rounds {
			wrong = append(wrong, fmt.Sprintf("only %d uploads and %d downloads were complete", ups, dns))
		}
		if ratio > 1.5 {
			wrong = append(wrong, fmt.Sprintf("p99 of fast requests beside slow clients is %.2f times that without, want at most 1.5", ratio))
		}
		return wrong
	})
}
