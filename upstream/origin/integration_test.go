package origin_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/origin"
)

// process starts a server and waits until it accepts connections at addr.
func process(t *testing.T, network, addr string, command ...string) {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = filepath.Join("testdata", "app"), &out, &out, time.Second
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its workers too
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", command[0], out.String())
		}
	})
	over, tick := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial(network, addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%v ended:\n%s", command, out.String())
		case <-over:
			t.Fatalf("%v does not listen at %s", command, addr)
		case <-tick.C:
		}
	}
}

// shortDir is a directory whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestRealServers(t *testing.T) {
	sock := filepath.Join(shortDir(t), "a.sock")
	port := freePort(t)
	_, number, _ := net.SplitHostPort(port)
	for _, row := range []struct {
		name, network, addr string
		command             []string
		raw                 bool // the app is told the target as it was sent
	}{
		{"gunicorn", "unix", sock + "1", []string{"gunicorn", "-b", "unix:" + sock + "1", "--threads", "4", "--graceful-timeout", "1", "echo:wsgi"}, true},
		{"uvicorn", "tcp", port, []string{"uvicorn", "--port", number, "echo:asgi"}, false},
		{"uvicorn on a unix socket", "unix", sock + "2", []string{"uvicorn", "--uds", sock + "2", "echo:asgi"}, false},
		{"uwsgi", "unix", sock + "3", []string{"uwsgi", "--plugin", "python3", "--http-socket", sock + "3", "--need-app", "--module", "echo:wsgi", "--die-on-term"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			process(t, row.network, row.addr, row.command...)
			tr, err := origin.NewTransport(row.network, row.addr, origin.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.CloseIdle()
			exerciseServer(t, tr, row.raw)
		})
	}
}

func exerciseServer(t *testing.T, tr *origin.Transport, raw bool) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for i, r := range []*origin.Request{get("/a%2Fb?x=%20&y"), post("x"), post(large), get("//a/b"), post("")} {
		r.Extra = []origin.Field{{Name: "X-Request-Id", Value: "id"}}
		if i != 3 {
			r.URI = strings.Replace(r.URI, "/", "/n/", 1)
		}
		resp, body := read(t, tr, r)
		var told struct {
			Method, Target string
			Header         map[string]string
			Length         int64
		}
		if err := json.Unmarshal([]byte(body), &told); err != nil || resp.Status != 200 {
			t.Fatalf("%d %q: %v", resp.Status, body, err)
		}
		if told.Method != r.Method || told.Length != r.ContentLength || told.Header["host"] != r.Host || told.Header["x-request-id"] != "id" {
			t.Errorf("%s %s: the app was told %+v", r.Method, r.URI, told)
		}
		if raw && told.Target != r.URI {
			t.Errorf("target %q, want %q", told.Target, r.URI)
		}
	}
	if _, body := read(t, tr, get("/stream")); strings.Count(body, "\n") != 1000 {
		t.Errorf("the stream has %d bytes", len(body))
	}
	head := get("/")
	head.Method = "HEAD"
	if resp, _ := read(t, tr, head); resp.Status != 200 {
		t.Errorf("HEAD = %d", resp.Status)
	}
	if status, err := tr.Check(t.Context(), "GET", "h", "/"); status != 200 || err != nil {
		t.Errorf("Check = %d, %v", status, err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				read(t, tr, get("/"))
				read(t, tr, post("x"))
			}
		})
	}
	all.Wait()
}

// TestServerOfAnotherProtocol is about the mistake that people make.
func TestServerOfAnotherProtocol(t *testing.T) {
	addr := filepath.Join(shortDir(t), "u.sock")
	process(t, "unix", addr, "uwsgi", "--plugin", "python3", "--socket", addr, "--need-app", "--module", "echo:wsgi", "--die-on-term")
	each(t, func(t *testing.T, o origin.Options) {
		tr, err := origin.NewTransport("unix", addr, o)
		if err != nil {
			t.Fatal(err)
		}
		if e := fails(t, tr, get("/")); !strings.Contains(e.Cure, "write protocol: uwsgi") {
			t.Errorf("%v; cure %q", e, e.Cure)
		}
	})
}
