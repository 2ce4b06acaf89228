package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"headgate/gateway/relay"
	"headgate/upstream/uwsgi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// drain takes everything and returns it with the error that ended it.
func drain(b *relay.Buffer, pause func()) ([]byte, error) {
	var got []byte
	for {
		p, err := b.Next(context.Background())
		if err != nil {
			return got, err
		}
		got = append(got, p...)
		if pause != nil {
			pause()
		}
	}
}

func random(n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(p)
	return p
}

// pieces reads a body in pieces of random sizes.
type pieces struct {
	p []byte
	r *rand.Rand
}

func (s *pieces) Read(p []byte) (int, error) {
	if len(s.p) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.p[:min(len(s.p), 1+s.r.IntN(50_000))])
	s.p = s.p[n:]
	return n, nil
}

func TestBytesArriveInOrder(t *testing.T) {
	body := random(3 << 20)
	for name, l := range map[string]relay.Limits{
		"memory only":       {Memory: 64 << 10, File: -1},
		"everything fits":   {Memory: 8 << 20},
		"file":              {Memory: 32 << 10, File: 8 << 20},
		"file that is full": {Memory: 64 << 10, File: 128 << 10},
		"no file to be had": {Memory: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			open := openIn(t.TempDir())
			if name == "no file to be had" {
				open = openIn("/nonexistent")
			}
			room := relay.NewRoom(1<<20, open)
			b := room.New(l)
			done := make(chan error, 1)
			go func() { done <- b.Fill(t.Context(), &pieces{body, rand.New(rand.NewPCG(1, 2))}) }()
			got, err := drain(b, nil)
			if err != io.EOF || sha256.Sum256(got) != sha256.Sum256(body) {
				t.Errorf("drain = %d bytes, %v; want the %d bytes as sent and EOF", len(got), err, len(body))
			}
			if err := <-done; err != nil {
				t.Errorf("Fill = %v, want nil", err)
			}
			b.Close()
			if n := room.Used(); n != 0 {
				t.Errorf("budget in use after Close = %d, want 0", n)
			}
		})
	}
}

// openIn makes files in dir.
func openIn(dir string) func() (*os.File, error) {
	return func() (*os.File, error) { return uwsgi.TempFile(dir) }
}

func newRoom(t testing.TB) *relay.Room { return relay.NewRoom(64<<20, openIn(t.TempDir())) }

func TestSourceEndsBeforeSlowTakerBegins(t *testing.T) {
	body := random(5 << 20)
	b := newRoom(t).New(relay.Limits{Memory: 1 << 20})
	defer b.Close()
	if err := b.Fill(t.Context(), bytes.NewReader(body)); err != nil {
		t.Fatalf("Fill without a taker = %v, want nil: the worker must not wait", err)
	}
	got, err := drain(b, nil)
	if err != io.EOF || !bytes.Equal(got, body) {
		t.Errorf("drain = %d bytes, %v; want %d and EOF", len(got), err, len(body))
	}
}

func TestFillWaitsWhenAllRoomIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRoom(t).New(relay.Limits{Memory: 32 << 10, File: -1})
		defer b.Close()
		src := bytes.NewReader(random(256 << 10))
		done := make(chan error, 1)
		go func() { done <- b.Fill(t.Context(), src) }()
		synctest.Wait()
		if left := src.Len(); left < 128<<10 {
			t.Errorf("left in the source = %d, want at least half: Fill must wait for the taker", left)
		}
		if _, err := drain(b, nil); err != io.EOF {
			t.Errorf("drain = %v, want EOF", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Fill = %v, want nil", err)
		}
	})
}

func TestBytesAreNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRoom(t).New(relay.Limits{})
		defer b.Close()
		r, w := io.Pipe()
		go b.Fill(t.Context(), r)
		start := time.Now()
		go func() {
			for range 3 {
				w.Write([]byte("tick"))
				time.Sleep(time.Second)
			}
			w.Close()
		}()
		for i := range 3 {
			p, err := b.Next(t.Context())
			if string(p) != "tick" || err != nil {
				t.Fatalf("Next = %q, %v; want tick", p, err)
			}
			if got, want := time.Since(start), time.Duration(i)*time.Second; got != want {
				t.Errorf("tick %d after %v, want %v", i, got, want)
			}
			if !b.Empty() {
				t.Error("Empty = false with nothing to take")
			}
		}
		if _, err := b.Next(t.Context()); err != io.EOF {
			t.Errorf("Next = %v, want EOF", err)
		}
	})
}

func TestErrorComesAfterTheBytes(t *testing.T) {
	cut := errors.New("cut")
	b := newRoom(t).New(relay.Limits{})
	defer b.Close()
	if err := b.Fill(t.Context(), io.MultiReader(bytes.NewReader([]byte("half")), iotestErr{cut})); err != cut {
		t.Errorf("Fill = %v, want %v", err, cut)
	}
	if got, err := drain(b, nil); string(got) != "half" || err != cut {
		t.Errorf("drain = %q, %v; want half, %v", got, err, cut)
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func TestCloseEndsFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRoom(t).New(relay.Limits{Memory: 1, File: -1})
		done := make(chan error, 1)
		go func() { done <- b.Fill(t.Context(), bytes.NewReader(random(1<<20))) }()
		synctest.Wait()
		b.Close()
		if err := <-done; err == nil {
			t.Error("Fill = nil after Close, want an error")
		}
	})
}

func TestNextEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := newRoom(t).New(relay.Limits{})
		defer b.Close()
		if _, err := b.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next = %v, want the context's error", err)
		}
	})
}

func TestMemoryIsBoundedForAll(t *testing.T) {
	room := relay.NewRoom(64<<10, openIn(t.TempDir()))
	for range 4 {
		b := room.New(relay.Limits{Memory: 1 << 20})
		defer b.Close()
		if err := b.Fill(t.Context(), bytes.NewReader(random(1<<20))); err != nil {
			t.Fatal(err)
		}
		if got := room.Used(); got > 64<<10 {
			t.Fatalf("memory in use = %d, want at most 64 KiB", got)
		}
	}
}

func BenchmarkSmall(b *testing.B) {
	room := newRoom(b)
	body := random(2000)
	b.ReportAllocs()
	for b.Loop() {
		buf := room.New(relay.Limits{})
		buf.Fill(b.Context(), bytes.NewReader(body))
		drain(buf, nil)
		buf.Close()
	}
}

// TestEmptyBehindAFullChunk: what has come is flushed also when it ends where
// the memory that it came in does.
func TestEmptyBehindAFullChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := relay.NewRoom(1<<20, openIn("/nonexistent")).New(relay.Limits{})
		pr, pw := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- b.Fill(t.Context(), pr) }()
		if _, err := pw.Write(make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // Fill waits for more
		p, err := b.Next(t.Context())
		if len(p) != 32<<10 || err != nil {
			t.Fatalf("Next = %d bytes, %v", len(p), err)
		}
		if !b.Empty() {
			t.Error("Empty = false, and Next would wait")
		}
		pw.Close()
		<-done
		b.Close()
	})
}
