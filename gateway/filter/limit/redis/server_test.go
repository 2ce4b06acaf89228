package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	library "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"headgate/gateway/expression"
	"headgate/gateway/filter/limit"
	"headgate/gateway/filter/limit/redis"
	"headgate/gateway/notation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a redis-server.
type server struct {
	t    testing.TB
	addr string
	conf []string
	cmd  *exec.Cmd
}

func start(t testing.TB, conf ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: l.Addr().String(), conf: conf}
	l.Close()
	s.start()
	t.Cleanup(s.kill)
	return s
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
	s.cmd = exec.Command(bin, append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.t.TempDir(), "--save", ""}, s.conf...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "redis-server answers", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return false
		}
		defer c.Close()
		_, _ = c.Write([]byte("PING\r\n"))
		n, _ := c.Read(make([]byte, 64))
		return n > 0
	})
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) url() string { return "redis://" + s.addr + "/3?timeout=2s" } // these machines are busy

// do asks the server something on a connection of its own.
func (s *server) do(args ...any) any {
	s.t.Helper()
	c := library.NewClient(&library.Options{Addr: s.addr, DB: 3})
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil && err != library.Nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

func await(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		if f() {
			return
		}
		<-tick.C
	}
	t.Fatal("it never happens: " + what)
}

// lines is a log.
type lines struct {
	mu sync.Mutex // guards the field below
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// gateway is one that shares its rates.
func gateway(t testing.TB, url string, log *lines, rate string) *limit.Rates {
	t.Helper()
	servers := &redis.Servers{Log: slog.New(slog.NewTextHandler(log, nil))}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	r, err := limit.NewRates([]limit.Rate{{Rate: parse(t, rate), Store: url, Name: "login"}}, "here", limit.Setup{Shared: servers.Open})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func noView() expression.View { panic("nobody needs the view") }

func logged(t *testing.T, log *lines, text string, n int) {
	t.Helper()
	if got := strings.Count(log.String(), text); got != n {
		t.Errorf("%q is %d times in the log, want %d: %s", text, got, n, log)
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log has the password: %s", log)
	}
}

func parse(t testing.TB, text string) notation.Rate {
	t.Helper()
	r, err := notation.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
