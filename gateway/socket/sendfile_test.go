package socket_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"headgate/gateway/socket"
)

// file returns a file with content.
func file(tb testing.TB, content []byte) *os.File {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return f
}

// sparse returns a file of that many zeros.
func sparse(tb testing.TB, size int64) *os.File {
	tb.Helper()
	f := file(tb, nil)
	if err := os.Truncate(f.Name(), size); err != nil {
		tb.Fatal(err)
	}
	return f
}

func TestSendFile(t *testing.T) {
	big := make([]byte, 5<<20)
	rand.Read(big)
	f := file(t, big)
	for name, part := range map[string]struct {
		head      string
		offset, n int64
	}{
		"all": {"head", 0, 5 << 20}, "a part": {"head", 4097, 3 << 20}, "a byte": {"", 5<<20 - 1, 1}, "nothing": {"head", 7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
				want := append([]byte(part.head), big[part.offset:part.offset+part.n]...)
				want = append(want, "behind"...)
				got := make(chan []byte, 1)
				go func() {
					b := make([]byte, len(want))
					n, _ := io.ReadFull(client, b)
					got <- b[:n]
				}()
				n, err := s.SendFile([]byte(part.head), f, part.offset, part.n)
				if n != int64(len(part.head))+part.n || err != nil {
					t.Errorf("SendFile = %d, %v, want all", n, err)
				}
				if _, err := s.Write([]byte("behind")); err != nil {
					t.Error(err)
				}
				if !bytes.Equal(receive(t, got), want) {
					t.Error("the client got something else")
				}
			})
		})
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 0 || err != nil {
		t.Errorf("the file has been moved to %d, %v", at, err)
	}
}

// TestSendFileTruncated: a file that has become shorter is no whole one.
func TestSendFileTruncated(t *testing.T) {
	f := file(t, make([]byte, 1000))
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		go io.Copy(io.Discard, client)
		if n, err := s.SendFile([]byte("head"), f, 100, 1000); n != 904 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("SendFile = %d, %v, want 904 and an unexpected end", n, err)
		}
		if n, err := s.SendFile(nil, f, 2000, 1); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("SendFile = %d, %v, want 0 and an unexpected end", n, err)
		}
	})
}

// TestSendFileThatCannotBeSent: what the system refuses to send is copied, and what
// cannot be read either is an error.
func TestSendFileThatCannotBeSent(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	closed := file(t, []byte("abc"))
	closed.Close()
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		go io.Copy(io.Discard, client)
		for _, f := range []*os.File{dir, r, closed} {
			if n, err := s.SendFile(nil, f, 0, 3); n != 0 || err == nil {
				t.Errorf("SendFile of %s = %d, %v, want an error", f.Name(), n, err)
			}
		}
		if n, err := s.Write([]byte("abc")); n != 3 || err != nil {
			t.Errorf("Write after these = %d, %v", n, err)
		}
	})
}

func TestSendFileThatNobodyTakes(t *testing.T) {
	f := sparse(t, 64<<20)
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		s.SetWriteTimeout(30 * time.Millisecond)
		n, err := s.SendFile([]byte("head"), f, 0, 64<<20)
		if n >= 64<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("SendFile = %d, %v, want less than all and a timeout", n, err)
		}
	})
}

// TestSendFileToASlowClient: it is not one that takes nothing.
func TestSendFileToASlowClient(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	const timeout = 400 * time.Millisecond
	c.SetWriteTimeout(timeout)
	taken := make(chan int, 1)
	go func() {
		b := make([]byte, 1<<20)
		all := 0
		for {
			n, err := io.ReadFull(client, b)
			all += n
			if err != nil {
				taken <- all
				return
			}
			<-time.After(30 * time.Millisecond)
		}
	}()
	const size = 40 << 20
	begin := time.Now()
	n, err := c.SendFile(nil, sparse(t, size), 0, size)
	if n != size || err != nil {
		t.Errorf("SendFile = %d, %v after %v, want all", n, err, time.Since(begin))
	}
	if d := time.Since(begin); d < timeout {
		t.Errorf("took %v, too short to show anything", d)
	}
	c.Close()
	if got := receive(t, taken); got != size {
		t.Errorf("client took %d of %d bytes", got, size)
	}
}

// TestSendFileEnds: with the client, with a deadline and with Close, also while the
// client takes everything at once.
func TestSendFileEnds(t *testing.T) {
	const size = 1 << 40
	f := sparse(t, size)
	for name, end := range map[string]func(s *socket.Conn, client net.Conn){
		"client":   func(_ *socket.Conn, client net.Conn) { client.Close() },
		"deadline": func(s *socket.Conn, _ net.Conn) { s.SetWriteDeadline(time.Now().Add(-time.Second)) },
		"close":    func(s *socket.Conn, _ net.Conn) { s.Close() },
	} {
		for _, takes := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
					if takes {
						go io.Copy(io.Discard, client)
					}
					later(func() { end(s, client) })
					ended := make(chan error, 1)
					go func() {
						_, err := s.SendFile([]byte("head"), f, 0, size)
						ended <- err
					}()
					err := receive(t, ended)
					switch {
					case err == nil:
						t.Error("SendFile has sent it")
					case name == "deadline" && !errors.Is(err, os.ErrDeadlineExceeded), name == "close" && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe):
						t.Errorf("SendFile = %v", err)
					}
				})
			})
		}
	}
}

func BenchmarkSendFile(b *testing.B) {
	for _, size := range []int64{4 << 10, 8 << 10, 16 << 10, 64 << 10, 1 << 20} {
		name := func(way string) string { return way + "/" + strconv.FormatInt(size>>10, 10) + "KiB" }
		content := make([]byte, size)
		f := file(b, content)
		head := make([]byte, 300)
		drain := func(b *testing.B) *socket.Conn {
			s, client := pair(b)
			go io.Copy(io.Discard, client)
			return socket.New(s, nil)
		}
		b.Run(name("sendfile"), func(b *testing.B) {
			c := drain(b)
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				if _, err := c.SendFile(head, f, 0, size); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name("read"), func(b *testing.B) {
			c := drain(b)
			buf := make([]byte, 64<<10)
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				for at := int64(0); at < size; {
					n, err := f.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
					if n == 0 {
						b.Fatal(err)
					}
					v := net.Buffers{head, buf[:n]}
					if _, err := c.WriteBuffers(&v); err != nil {
						b.Fatal(err)
					}
					at += int64(n)
				}
			}
		})
	}
}
