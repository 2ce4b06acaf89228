package storage_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server whose data is in a directory of its own.
type server struct {
	t    testing.TB
	dir  string
	addr string
	conf []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// newServer starts a server that keeps what it has over a restart.
func newServer(t testing.TB, conf ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), conf: conf, addr: freeAddr(t)}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *server) start() {
	s.t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("CI") == "" {
		s.t.Skip("redis-server is not installed")
	} else if err != nil {
		s.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "yes"}, s.conf...)
	s.cmd = exec.Command(bin, args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 1000 {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			_, _ = c.Write([]byte("PING\r\n"))
			b := make([]byte, 64)
			n, _ := c.Read(b)
			_ = c.Close()
			if n > 0 && !bytes.Contains(b[:n], []byte("LOADING")) {
				return
			}
		}
		<-tick()
	}
	s.t.Fatal("redis-server does not answer")
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) url(query string) string { return "redis://" + s.addr + "/3" + query }

// do asks the server something on a connection of its own.
func (s *server) do(args ...any) any {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr, DB: 3})
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

func tick() <-chan time.Time { return time.After(5 * time.Millisecond) }
