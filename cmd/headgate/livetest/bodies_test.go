package livetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// maxResident is the memory in MiB that the gateway may use, whatever the size
// of the bodies.
const maxResident = 100

// TestLargeBodies sends large bodies up and down over each protocol, with their
// length announced and without, and looks at every byte and at the memory.
func TestLargeBodies(t *testing.T) {
	if testing.Short() {
		t.Skip("it moves gigabytes")
	}
	size := largeBytes(t)
	a := startApp(t, "--processes", "2")
	c := conf{socket: a.socket, limits: "response_file: 4GiB"}
	spooling := startGateway(t, c)
	c.route = "request_body: stream"
	streaming := startGateway(t, c)
	want, _, err := sum(newPattern(size))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range protocols {
		for _, counted := range []bool{true, false} {
			name := fmt.Sprintf("%s/counted=%v", p, counted)
			t.Run(name+"/up", func(t *testing.T) { upload(t, spooling, p, counted, size, want) })
			if counted {
				t.Run(name+"/up streaming", func(t *testing.T) { upload(t, streaming, p, counted, size, want) })
			}
			t.Run(name+"/down", func(t *testing.T) { download(t, spooling, p, counted, size, want) })
		}
	}
	checkMemory(t, spooling)
	checkMemory(t, streaming)
}

func upload(t *testing.T, g *gateway, p protocol, counted bool, size int64, want string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.url("/up?body=1"), newPattern(size))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = -1
	if counted {
		r.ContentLength = size
	}
	begin := time.Now()
	resp, err := g.client(t, p).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e environ
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	if e["echo.body_sha256"] != want || e["CONTENT_LENGTH"] != fmt.Sprint(size) {
		t.Errorf("the app read %v bytes of %v with the hash %v", e["echo.body_bytes"], e["CONTENT_LENGTH"], e["echo.body_sha256"])
	}
	report(t, g, size, begin)
}

func download(t *testing.T, g *gateway, p protocol, counted bool, size int64, want string) {
	path := fmt.Sprintf("/blob?n=%d", size)
	if counted {
		path += "&counted=1"
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	resp, err := g.client(t, p).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if counted != (resp.ContentLength == size) {
		t.Errorf("Content-Length is %d", resp.ContentLength)
	}
	got, n, err := sum(resp.Body)
	if err != nil || n != size || got != want {
		t.Errorf("%d bytes of %d came with the hash %s: %v", n, size, got, err)
	}
	report(t, g, size, begin)
}

func report(t *testing.T, g *gateway, size int64, begin time.Time) {
	now, most := g.resident(t)
	took := time.Since(begin)
	t.Logf("%d MiB in %v, %.0f MiB/s; resident memory %d MiB, at most %d", size>>20, took.Round(time.Millisecond), float64(size>>20)/took.Seconds(), now, most)
}

func checkMemory(t *testing.T, g *gateway) {
	t.Helper()
	if _, most := g.resident(t); most >= maxResident {
		t.Errorf("the gateway took %d MiB of memory, want less than %d", most, maxResident)
	}
}

// TestSlowReader: a client that takes 64 KiB a second does not keep the only
// worker from the next request, and gets its bytes right.
func TestSlowReader(t *testing.T) {
	const size, piece = 50 << 20, 64 << 10
	for _, p := range protocols {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			a := startApp(t)
			g := startGateway(t, conf{socket: a.socket})
			begin := time.Now()
			resp, err := g.client(t, p).Get(p.url(fmt.Sprintf("/blob?n=%d&counted=1", size)))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			next := make(chan time.Duration, 1)
			other := g.client(t, p)
			go func() {
				defer close(next)
				if resp, err := other.Get(p.url("/pid")); err == nil {
					resp.Body.Close()
					next <- time.Since(begin)
				}
			}()
			want := newPattern(size)
			second := time.NewTicker(time.Second)
			defer second.Stop()
			for range 4 {
				same(t, resp.Body, want, piece)
				<-second.C
			}
			select {
			case took, ok := <-next:
				if !ok || took > 2*time.Second {
					t.Errorf("the worker served the next request after %v, want 2s (failed: %v)", took, !ok)
				}
			default:
				t.Error("the worker still waits for the slow client")
			}
			same(t, resp.Body, want, size-4*piece)
			if n, err := io.Copy(io.Discard, resp.Body); n != 0 || err != nil {
				t.Errorf("%d bytes too many: %v", n, err)
			}
			checkMemory(t, g)
		})
	}
}

// same compares the next n bytes.
func same(t *testing.T, got, want io.Reader, n int) {
	t.Helper()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for left := n; left > 0; {
		m := min(left, len(a))
		if _, err := io.ReadFull(got, a[:m]); err != nil {
			t.Fatalf("after %d bytes: %v", n-left, err)
		}
		if _, err := io.ReadFull(want, b[:m]); err != nil {
			t.Fatal(err)
		}
		if string(a[:m]) != string(b[:m]) {
			t.Fatalf("bytes differ between %d and %d", n-left, n-left+m)
		}
		left -= m
	}
}
