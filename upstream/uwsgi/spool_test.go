package uwsgi_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"headgate/upstream/uwsgi"
)

// randomBytes returns n bytes, always the same.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestSpoolKeepsEveryByte(t *testing.T) {
	const chunk = 32 << 10
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 8*chunk - 1, 8 * chunk, 8*chunk + 1, 1<<20 + 7} {
		for _, declared := range []int64{-1, int64(n)} {
			t.Run(fmt.Sprintf("%d declared %d", n, declared), func(t *testing.T) {
				body := randomBytes(n)
				s := uwsgi.Spooler{Dir: t.TempDir()}
				b, err := s.Read(iotest.HalfReader(bytes.NewReader(body)), declared)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				if b.Len() != int64(n) {
					t.Errorf("Len = %d, want %d", b.Len(), n)
				}
				if got, want := b.InFile(), n > 256<<10; got != want {
					t.Errorf("in a file: %v, want %v", got, want)
				}
				for range 2 { // the second is a replay
					r, _ := b.Rewind()
					if got, err := io.ReadAll(iotest.HalfReader(r)); err != nil || !bytes.Equal(got, body) {
						t.Errorf("read %d bytes, %v", len(got), err)
					}
				}
				var out bytes.Buffer
				if n, err := io.Copy(&out, b.NewReader()); err != nil || n != b.Len() || !bytes.Equal(out.Bytes(), body) {
					t.Errorf("copied %d bytes, %v", n, err)
				}
			})
		}
	}
}

// TestSpoolMemoryIsShared: bodies that are small enough for memory go into files
// when those of others have used it up.
func TestSpoolMemoryIsShared(t *testing.T) {
	shared := uwsgi.NewSpoolMemory(256 << 10)
	s := uwsgi.Spooler{Dir: t.TempDir(), Shared: shared}
	body := randomBytes(200 << 10)
	var all []*uwsgi.Spool
	for i := range 10 {
		b, err := s.Read(bytes.NewReader(body), int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
		if got, want := b.InFile(), i > 0; got != want {
			t.Errorf("body %d in a file: %v, want %v", i, got, want)
		}
		if got := shared.Used(); got > 256<<10 {
			t.Errorf("memory in use = %d, want at most 256 KiB", got)
		}
	}
	for _, b := range all {
		if got, err := io.ReadAll(b.NewReader()); err != nil || !bytes.Equal(got, body) {
			t.Errorf("read %d bytes, %v; want the body", len(got), err)
		}
		b.Close()
	}
	if got := shared.Used(); got != 0 {
		t.Errorf("memory in use after Close = %d, want 0", got)
	}
}

// The file of a body must not be there for anybody else, nor be left over.
func TestSpoolFileHasNoName(t *testing.T) {
	dir := t.TempDir()
	s := uwsgi.Spooler{Memory: -1, Dir: dir}
	b, err := s.Read(strings.NewReader("secret"), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if !b.InFile() {
		t.Error("the body is in memory, of which there is none")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files %v, %v", left, err)
	}
}

func TestSpoolLimits(t *testing.T) {
	for _, test := range []struct {
		name     string
		spooler  *uwsgi.Spooler
		n        int
		declared int64
		fits     bool
	}{
		{"exact, unknown", &uwsgi.Spooler{Max: 1000}, 1000, -1, true},
		{"exact, known", &uwsgi.Spooler{Max: 1000}, 1000, 1000, true},
		{"one more, unknown", &uwsgi.Spooler{Max: 1000}, 1001, -1, false},
		{"one more, known", &uwsgi.Spooler{Max: 1000}, 1001, 1001, false},
		{"at a chunk", &uwsgi.Spooler{Max: 32 << 10}, 32<<10 + 1, -1, false},
		{"in the file", &uwsgi.Spooler{Memory: 10, Max: 1 << 20}, 1<<20 + 1, -1, false},
		{"none", &uwsgi.Spooler{Max: -1}, 1 << 20, -1, true},
		{"default", &uwsgi.Spooler{}, 0, 100<<20 + 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.spooler
			s.Dir = t.TempDir()
			b, err := s.Read(bytes.NewReader(randomBytes(test.n)), test.declared)
			switch {
			case test.fits && err != nil:
				t.Error(err)
			case test.fits:
				if b.Len() != int64(test.n) {
					t.Errorf("Len = %d, want %d", b.Len(), test.n)
				}
				b.Close()
			case !errors.Is(err, uwsgi.ErrBodyTooLarge):
				t.Errorf("error %v, want %v", err, uwsgi.ErrBodyTooLarge)
			}
		})
	}
}

func TestSpoolErrors(t *testing.T) {
	broken := errors.New("stream reset")
	var s uwsgi.Spooler
	_, err := s.Read(io.MultiReader(bytes.NewReader(make([]byte, 300<<10)), iotest.ErrReader(broken)), -1)
	if got := spoolOp(err); got != uwsgi.SpoolRead || !errors.Is(err, broken) {
		t.Errorf("broken source: %v", err)
	}
	_, err = s.Read(strings.NewReader("four"), 5)
	if got := spoolOp(err); got != uwsgi.SpoolRead || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short source: %v", err)
	}
	b, err := s.Read(strings.NewReader("four and more"), 4)
	if err != nil || b.Len() != 4 {
		t.Errorf("long source: %v, %v", b, err)
	}
	_, err = s.Read(idleReader{}, -1)
	if got := spoolOp(err); got != uwsgi.SpoolRead || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("idle source: %v", err)
	}
	nowhere := uwsgi.Spooler{Memory: -1, Dir: filepath.Join(t.TempDir(), "gone")}
	_, err = nowhere.Read(strings.NewReader("x"), -1)
	if got := spoolOp(err); got != uwsgi.SpoolFile || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("no directory: %v", err)
	}
}

func spoolOp(err error) uwsgi.SpoolOp {
	var failure *uwsgi.SpoolError
	if errors.As(err, &failure) {
		return failure.Op
	}
	return 0
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

// A worker may still be sent a body when the client's side is done with it.
// What it then gets is an error, not the bytes of the next request.
func TestSpoolClosedUnderItsReaders(t *testing.T) {
	for _, memory := range []int64{0, -1} {
		s := uwsgi.Spooler{Memory: memory, Dir: t.TempDir()}
		body := bytes.Repeat([]byte("a"), 200<<10)
		b, err := s.Read(bytes.NewReader(body), -1)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		begun := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				r, p := b.NewReader(), make([]byte, 100)
				for first := true; ; first = false {
					n, err := r.Read(p)
					if bytes.Contains(p[:n], []byte("b")) {
						t.Error("bytes of another request")
					}
					if first {
						begun <- struct{}{}
					}
					if err != nil {
						if err != io.EOF && !errors.Is(err, os.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		<-begun
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		other, err := s.Read(bytes.NewReader(bytes.Repeat([]byte("b"), 200<<10)), -1)
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		other.Close()
		if err := b.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		if _, err := b.NewReader().Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("reading what is closed: %v", err)
		}
	}
}

func TestSpoolConcurrentReaders(t *testing.T) {
	body := randomBytes(700 << 10)
	s := uwsgi.Spooler{Dir: t.TempDir()}
	b, err := s.Read(bytes.NewReader(body), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	want := sha256.Sum256(body)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			h := sha256.New()
			if _, err := io.Copy(h, b.NewReader()); err != nil || [32]byte(h.Sum(nil)) != want {
				t.Errorf("a reader got other bytes, %v", err)
			}
		})
	}
	wg.Wait()
}

func TestSpoolFileWithoutTmpfile(t *testing.T) {
	dir := t.TempDir()
	f, err := uwsgi.NamedFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("secret"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files %v, %v", left, err)
	}
}
