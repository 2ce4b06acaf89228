package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const (
	backlog    = 4096
	bufferSize = 256 << 10 // of a thread: no packet is longer, and bodies are read by it
	pingPacket = 100       // modifier1 of uWSGI's ping
)

// errGone ends a connection whose client went or sent what is no request.
var errGone = errors.New("connection closed")

// A worker is a backend that answers at once. Its threads block in system calls
// without the runtime's poller, because that would cost more than the answer.
type worker struct {
	small []byte // the answer of any path
	fill  []byte // the bodies of /bytes/N
	http  bool
}

func runBackend(args []string, t Terminal) error {
	set := flags("backend", "SOCKET...", t)
	threads := set.Int("threads", 1, "threads for each socket: requests that it takes at once")
	http := set.Bool("http", false, "speak HTTP/1.1 with keep-alive, a thread for each connection")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 || *threads < 1 {
		return errors.New("backend needs the path of a socket, and at least one thread")
	}
	s := newWorker(*http)
	ended := make(chan error)
	for _, path := range set.Args() {
		fd, err := listen(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for range *threads {
			go func() { ended <- s.accept(fd) }()
		}
	}
	return <-ended
}

func newWorker(http bool) *worker {
	s := &worker{fill: []byte(strings.Repeat("0123456789abcdef", bufferSize/16)), http: http}
	s.small = append(head(1024), s.fill[:1024]...)
	return s
}

func listen(path string) (int, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return 0, err
	}
	return fd, syscall.Listen(fd, backlog)
}

func (s *worker) accept(fd int) error {
	runtime.LockOSThread()
	buf := make([]byte, bufferSize)
	for {
		c, _, err := syscall.Accept4(fd, syscall.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ECONNABORTED):
			continue
		case err != nil:
			return err
		case s.http:
			go s.serveHTTP(c)
			continue
		}
		_ = s.serveUWSGI(c, buf) // whoever closes early has nobody to tell
		_ = syscall.Close(c)
	}
}

// answer writes what the path asks for: 1 KiB, or the N bytes of /bytes/N.
func (s *worker) answer(fd int, path []byte) error {
	size := size(path)
	if size < 0 {
		return write(fd, s.small)
	}
	n := min(size, 32<<10) // the head goes with the first of the body
	if err := write(fd, append(head(size), s.fill[:n]...)); err != nil {
		return err
	}
	for size -= n; size > 0; {
		n := min(size, len(s.fill))
		if err := write(fd, s.fill[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// size returns the N of /bytes/N, or -1.
func size(path []byte) int {
	const prefix = "/bytes/"
	if len(path) < len(prefix) || string(path[:len(prefix)]) != prefix {
		return -1
	}
	n, err := strconv.Atoi(string(path[len(prefix):]))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func head(size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)
}

func write(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// read reads at least one byte.
func read(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case n == 0:
			return 0, errGone
		default:
			return n, nil
		}
	}
}

// discard reads n bytes of a body.
func discard(fd, n int, buf []byte) error {
	for n > 0 {
		got, err := read(fd, buf[:min(n, len(buf))])
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}
