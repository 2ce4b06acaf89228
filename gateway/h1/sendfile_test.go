package h1_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/gateway/wire"
)

// file returns a file with content.
func file(t testing.TB, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

var digits = strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 10<<10)

// TestSendFile: files of all sizes arrive whole, between what is written, however
// the answer is framed.
func TestSendFile(t *testing.T) {
	t.Parallel()
	f := file(t, digits)
	each(t, func(s wire.Stream, r *wire.Request) {
		var offset, n, length int64
		if _, err := fmt.Sscanf(r.Target, "/%d/%d/%d", &offset, &n, &length); err != nil {
			panic(err)
		}
		s.WriteHead(200, wire.Fields{{Name: "X-A", Value: "b"}}, length)
		_, first := io.WriteString(s, "<")
		sent, err := s.(wire.FileSender).SendFile(f, offset, n)
		_, last := io.WriteString(s, ">")
		if sent != n || errors.Join(first, err, last) != nil {
			panic(fmt.Sprint(sent, first, err, last))
		}
	}, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		for _, n := range []int64{0, 1, 4000, 4096, 16383, 16384, 32767, 32768, 100_000, 300_000} {
			for _, offset := range []int64{0, 777} {
				for _, length := range []int64{n + 2, -1} {
					want := "<" + digits[offset:offset+n] + ">"
					c.send(get(fmt.Sprintf("/%d/%d/%d", offset, n, length)))
					if got := c.next("GET"); got.body != want || got.err != nil || got.ContentLength != length {
						t.Fatalf("%d from %d, length %d: got %d bytes (%v)", n, offset, length, len(got.body), got.err)
					}
					c.send(fmt.Sprintf("HEAD /%d/%d/%d HTTP/1.1\r\nHost: a\r\n\r\n", offset, n, length))
					if got := c.next("HEAD"); got.body != "" || got.ContentLength != length {
						t.Fatalf("HEAD of %d, length %d: got %q", n, length, got.body)
					}
				}
			}
		}
		old := dial()
		old.send("GET /0/100000/-1 HTTP/1.0\r\n\r\n")
		if got := old.next("GET"); got.body != "<"+digits[:100000]+">" || got.err != nil {
			t.Errorf("HTTP/1.0: got %d bytes (%v)", len(got.body), got.err)
		}
	})
}

// ends has the ends of SendFile for each way of each, whose name is the last part of
// a target.
type ends map[string]chan error

func newEnds() ends { return ends{"plain": make(chan error, 1), "TLS": make(chan error, 1)} }

func (e ends) tell(r *wire.Request, err error) { e[path.Base(r.Target)] <- err }

func (e ends) of(t *testing.T) error {
	t.Helper()
	select {
	case err := <-e[path.Base(t.Name())]:
		return err
	case <-time.After(patience):
		t.Fatal("SendFile does not end")
		return nil
	}
}

// TestSendFileThatIsTooShort: the client sees that the answer is not whole, and has
// its head.
func TestSendFileThatIsTooShort(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			f := file(t, digits[:size])
			ended := newEnds()
			each(t, func(s wire.Stream, r *wire.Request) {
				length := int64(2 * size)
				if strings.HasPrefix(r.Target, "/chunked") {
					length = -1
				}
				s.WriteHead(200, nil, length)
				n, err := s.(wire.FileSender).SendFile(f, 0, int64(2*size))
				if n != int64(size) {
					err = fmt.Errorf("%d bytes were sent: %w", n, err)
				}
				ended.tell(r, err)
			}, func(t *testing.T, s *server, dial func() *client) {
				for _, target := range []string{"/counted/", "/chunked/"} {
					c := dial()
					c.send(get(target + path.Base(t.Name())))
					got := c.next("GET")
					if got.StatusCode != 200 || got.body != digits[:size] || got.err == nil {
						t.Errorf("%s: got %d with %d bytes and %v, want %d and an error", target, got.StatusCode, len(got.body), got.err, size)
					}
					if err := ended.of(t); !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("%s: SendFile = %v", target, err)
					}
				}
			})
		})
	}
}

func TestSendFileRefuses(t *testing.T) {
	t.Parallel()
	f := file(t, digits)
	each(t, func(s wire.Stream, r *wire.Request) {
		to := s.(wire.FileSender)
		if _, err := to.SendFile(f, 0, 1); err == nil {
			t.Error("SendFile before the head")
		}
		s.WriteHead(200, nil, 100_000)
		if n, err := to.SendFile(f, 0, 100_001); n != 0 || !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("SendFile of too much = %d, %v", n, err)
		}
		if n, err := to.SendFile(f, 0, 100_000); n != 100_000 || err != nil {
			t.Errorf("SendFile = %d, %v", n, err)
		}
		if n, err := to.SendFile(f, 0, 1); n != 0 || !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("SendFile of more = %d, %v", n, err)
		}
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
		s.Abort()
		if _, err := to.SendFile(f, 0, 1); !errors.Is(err, wire.ErrAborted) {
			t.Errorf("SendFile after Abort = %v", err)
		}
	}, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		c.send(get("/"))
		if got := c.next("GET"); got.body != digits[:100_000] {
			t.Errorf("got %d bytes", len(got.body))
		}
		c.wantEnd()
	})
}

// TestSendFileToClients that are slow, stop, or go.
func TestSendFileToClients(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	f := file(t, "")
	if err := os.Truncate(f.Name(), size); err != nil {
		t.Fatal(err)
	}
	ended := newEnds()
	each(t, func(s wire.Stream, r *wire.Request) {
		s.SetWriteTimeout(300 * time.Millisecond)
		if strings.HasPrefix(r.Target, "/abort") {
			s.SetWriteTimeout(0)
			time.AfterFunc(50*time.Millisecond, s.Abort)
		}
		s.WriteHead(200, nil, size)
		_, err := s.(wire.FileSender).SendFile(f, 0, size)
		ended.tell(r, err)
	}, func(t *testing.T, s *server, dial func() *client) {
		way := path.Base(t.Name())
		slow := dial()
		slow.send(get("/slow/" + way))
		buf := make([]byte, 2<<20)
		for n := 0; n < size; {
			m, err := io.ReadFull(slow.r, buf[:min(len(buf), size-n)])
			if n += m; err != nil {
				t.Fatalf("got %v after %d bytes", err, n)
			}
			<-time.After(20 * time.Millisecond)
		}
		if err := ended.of(t); err != nil {
			t.Errorf("to a slow client: %v", err)
		}

		stopped := dial()
		stopped.send(get("/stopped/" + way))
		if err := ended.of(t); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("to a client that takes nothing: %v", err)
		}

		gone := dial()
		gone.send(get("/gone/" + way))
		if _, err := io.ReadFull(gone.r, buf); err != nil {
			t.Fatal(err)
		}
		gone.Close()
		var broken *net.OpError
		if err := ended.of(t); !errors.As(err, &broken) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("to a client that goes: %v", err)
		}

		dial().send(get("/abort/" + way))
		if err := ended.of(t); err == nil {
			t.Error("an answer that was aborted was sent")
		}
	})
}

func BenchmarkSendFile(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		f := file(b, strings.Repeat("x", size))
		h := func(s wire.Stream, r *wire.Request) {
			s.WriteHead(200, pageFields, int64(size))
			if _, err := s.(wire.FileSender).SendFile(f, 0, int64(size)); err != nil {
				b.Error(err)
			}
		}
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			c := start(b, h).dial()
			if err := c.SetDeadline(time.Time{}); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				c.send(request)
				for {
					line, err := c.r.ReadSlice('\n')
					if err != nil {
						b.Fatal(err)
					}
					if len(line) == 2 {
						break
					}
				}
				if _, err := c.r.Discard(size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
