package limit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

// taken is where an answer goes in these tests, and when.
type taken struct {
	bytes.Buffer
	status  int
	flushed atomic.Int64 // bytes that were out at the last Flush
	times   []time.Duration
	begin   time.Time
	slow    time.Duration // of each Write
	err     error
}

func newTaken() *taken { return &taken{begin: time.Now()} }

func (a *taken) WriteHead(status int, _ wire.Fields, _ int64) { a.status = status }

func (a *taken) Flush() error {
	a.flushed.Store(int64(a.Len()))
	return a.err
}

func (a *taken) Write(p []byte) (int, error) {
	a.times = append(a.times, time.Since(a.begin))
	time.Sleep(a.slow)
	if a.err != nil {
		return 0, a.err
	}
	return a.Buffer.Write(p)
}

// takenFile is one that sends files.
type takenFile struct{ *taken }

func (a takenFile) SendFile(f *os.File, offset, n int64) (int64, error) {
	a.times = append(a.times, time.Since(a.begin))
	return io.Copy(&a.Buffer, io.NewSectionReader(f, offset, n))
}

func TestPace(t *testing.T) {
	for _, rate := range []notation.Size{100, 10 * notation.KiB, notation.MiB, notation.GiB} {
		for _, piece := range []int{7, 1000, 1 << 30} {
			synctest.Test(t, func(t *testing.T) {
				a := newTaken()
				p := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: rate})
				p.WriteHead(200, nil, -1)
				body := make([]byte, min(2*int(rate), 4*int(notation.MiB)))
				want := time.Duration(float64(len(body)) / float64(rate) * float64(time.Second))
				for rest := body; len(rest) > 0; {
					n := min(piece, len(rest))
					if m, err := p.Write(rest[:n]); m != n || err != nil {
						t.Fatalf("Write = %d, %v", m, err)
					}
					rest = rest[n:]
				}
				if got := time.Since(a.begin); a.Len() != len(body) || a.status != 200 || got < want*95/100-time.Millisecond || got > want*105/100 {
					t.Errorf("%v in pieces of %d: %d bytes took %v, want %v", rate, piece, a.Len(), got, want)
				}
				last := time.Duration(0)
				for _, at := range a.times {
					if at-last > 250*time.Millisecond {
						t.Errorf("%v in pieces of %d: nothing for %v", rate, piece, at-last)
					}
					last = at
				}
			})
		}
	}
}

func TestPaceAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTaken()
		p := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: 1000, After: 5000})
		_, _ = p.Write(make([]byte, 3000))
		time.Sleep(time.Hour) // saves nothing up
		_, _ = p.Write(make([]byte, 2000))
		if d := time.Since(a.begin); d != time.Hour {
			t.Errorf("what is free took %v", d-time.Hour)
		}
		_, _ = p.Write(make([]byte, 2000))
		if d := time.Since(a.begin) - time.Hour; d < 1900*time.Millisecond || d > 2*time.Second {
			t.Errorf("2000 bytes after it took %v, want 2s", d)
		}
	})
}

// TestPaceOfASlowApp: what the app did not send in time is not sent in a burst, but
// for an eighth of a second.
func TestPaceOfASlowApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTaken()
		p := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: 8000})
		_, _ = p.Write(make([]byte, 1000))
		time.Sleep(time.Minute)
		begin := time.Now()
		_, _ = p.Write(make([]byte, 8000))
		if d := time.Since(begin); d != 875*time.Millisecond {
			t.Errorf("after a pause 8000 bytes took %v, want 875ms", d)
		}
	})
}

// TestPaceOfASlowClient: the time that a client takes counts.
func TestPaceOfASlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTaken()
		a.slow = 100 * time.Millisecond
		p := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: 8000})
		_, _ = p.Write(make([]byte, 16000))
		if d := time.Since(a.begin); d > 2200*time.Millisecond {
			t.Errorf("it took %v, want 2s and the last Write", d)
		}
	})
}

func TestPaceFlushesBeforeItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTaken()
		p := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: 8})
		go func() { _, _ = p.Write([]byte("slow")) }()
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if a.flushed.Load() != 2 {
			t.Errorf("after 300ms %d bytes are out, want 2", a.flushed.Load())
		}
		time.Sleep(time.Second)
	})
}

func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTaken()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		n, err := limit.Pace(ctx, a, limit.Bandwidth{Rate: 1000}).Write(make([]byte, 10_000))
		if n != 500 && n != 375 || !errors.Is(err, context.DeadlineExceeded) || time.Since(a.begin) != 500*time.Millisecond {
			t.Errorf("Write = %d, %v after %v", n, err, time.Since(a.begin))
		}
		if _, err := limit.Pace(ctx, a, limit.Bandwidth{Rate: notation.GiB}).Write([]byte("x")); err == nil {
			t.Error("nothing waits, and the end is not noticed")
		}
		a.err = io.ErrClosedPipe
		if n, err := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: 1000}).Write(make([]byte, 1000)); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write to a client that has gone = %d, %v", n, err)
		}
	})
}

func TestPaceOff(t *testing.T) {
	a := newTaken()
	for _, o := range []limit.Bandwidth{{}, {Rate: notation.Off}} {
		if limit.Pace(t.Context(), a, o) != wire.Answer(a) {
			t.Errorf("%+v: something is in front of the answer", o)
		}
	}
	if _, ok := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: 1}).(wire.FileSender); ok {
		t.Error("it sends files, and what is behind it does not")
	}
}

func TestPaceOfFiles(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 3000)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	synctest.Test(t, func(t *testing.T) {
		a := takenFile{newTaken()}
		s, ok := limit.Pace(t.Context(), a, limit.Bandwidth{Rate: 10_000, After: 5000}).(wire.FileSender)
		if !ok {
			t.Fatal("files are not sent")
		}
		n, err := s.SendFile(f, 5, 25_000)
		if n != 25_000 || err != nil || !bytes.Equal(a.Bytes(), content[5:25_005]) {
			t.Errorf("SendFile = %d, %v", n, err)
		}
		if d := time.Since(a.begin); d < 1900*time.Millisecond || d > 2100*time.Millisecond || len(a.times) < 17 {
			t.Errorf("it took %v in %d steps, want 2s in 17", d, len(a.times))
		}
	})
}
