package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// withoutLeaks is a test run that also fails for a goroutine left behind.
type withoutLeaks struct{ m *testing.M }

// Run implements testscript.TestingM.
func (w withoutLeaks) Run() int {
	code := w.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestMain lets scripts run this binary as headgate.
func TestMain(m *testing.M) {
	testscript.Main(withoutLeaks{m}, map[string]func(){"headgate": main})
}

// TestScripts runs testdata/script/*.txtar. HTTP, HTTPS and OTHER are addresses
// with free ports. Beside the commands of testscript there are
//
//	listening ADDRESS          waits until somebody accepts there
//	get URL STATUS [TEXT]      asks, and looks for TEXT in the body
//	count FILE N TEXT          looks for TEXT on exactly N lines of FILE
//	taken ADDRESS              listens there until the end of the script
//	hangup                     sends SIGHUP to what runs in the background
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_RUNTIME_DIR", e.WorkDir)
			e.Setenv("XDG_DATA_HOME", e.WorkDir)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // every command would take a second longer
			ours, _, _ := strings.Cut(e.Getenv("PATH"), ":")
			e.Setenv("PATH", ours+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") // with the system's Python
			e.Setenv("PYTHONDONTWRITEBYTECODE", "1")                                               // sources change within the second that it looks at
			for _, name := range []string{"HTTP", "HTTPS", "OTHER"} {
				addr, err := freeAddress()
				if err != nil {
					return err
				}
				e.Setenv(name, addr)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"listening": listening, "get": get, "count": countLines, "taken": taken, "hangup": hangup,
		},
	})
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func listening(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listening ADDRESS")
	}
	over := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", args[0]); err == nil {
			ts.Check(c.Close())
			return
		}
		select {
		case <-tick.C:
		case <-over:
			ts.Fatalf("nobody listens at %s", args[0])
		}
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: get URL STATUS [TEXT]")
	}
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       10 * time.Second,
	}
	resp, err := c.Get(args[0])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	text := strings.Join(args[2:], " ")
	if fmt.Sprint(resp.StatusCode) != args[1] || !strings.Contains(string(body), text) {
		ts.Fatalf("%s: got %d %q, want %s and %q", args[0], resp.StatusCode, body, args[1], text)
	}
}

func countLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: count FILE N TEXT")
	}
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.Contains(line, args[2]) {
			n++
		}
	}
	if fmt.Sprint(n) != args[1] {
		ts.Fatalf("%d lines of %s have %q, want %s", n, args[0], args[2], args[1])
	}
}

func hangup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hangup")
	}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGHUP))
	}
}

func taken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: taken ADDRESS")
	}
	l, err := net.Listen("tcp", args[0])
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}
