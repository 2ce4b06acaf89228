package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestUpLog(t *testing.T) {
	say := func(l *slog.Logger) {
		l = l.With("pool", "app")
		l.Debug("worker", "pid", 7, "stream", "stderr", "line", "spawned worker 1")
		l.Debug("workers start", "generation", 1)
		l.Info("worker", "pid", 7, "stream", "stdout", "line", `GET / "says the app"`)
		l.Info("workers are ready", "generation", 1)
		l.Info("files have changed", "files", []string{"/srv/a.py"})
		l.Info("files have changed", "files", []string{"/srv/a.py", "/srv/b.py", "/srv/c.py", "/srv/d.py"})
		l.Error("workers did not start", "cause", "exited with status 1", "tail", []string{"Traceback:", "NameError"}, "again", 0)
		l.Error("workers did not start", "cause", "exited with status 1", "tail", []string{"Traceback:", "NameError"}, "again", 500)
		l.Info("workers are ready", "generation", 2)
		l.Error("workers did not start", "cause", "exited with status 1", "again", 0)
		l.Warn("workers run as root", "cure", "say user:")
		l.Warn("something", "err", errors.New("a cause"), "listener", ":80")
	}
	var b strings.Builder
	json := slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	say(newUpLog(json, upLogOptions{terminal: true}, &b))
	want := `GET / "says the app"
headgate: a.py has changed: new workers start
headgate: a.py, b.py, c.py and 1 more have changed: new workers start
headgate: workers did not start: exited with status 1
Traceback:
NameError
headgate: workers did not start: exited with status 1
headgate: workers run as root: say user:
headgate: something: a cause listener=:80
`
	if b.String() != want {
		t.Errorf("on a terminal:\n%s\nwant:\n%s", b.String(), want)
	}
	b.Reset()
	say(newUpLog(json, upLogOptions{whole: true}, &b))
	first, rest, _ := strings.Cut(b.String(), "\n")
	if want := `{"level":"INFO","msg":"worker","pool":"app","pid":7,"stream":"stderr","line":"spawned worker 1"}`; first != want {
		t.Errorf("of a command, first:\n%s\nwant:\n%s", first, want)
	}
	if n := strings.Count(rest, "\n"); n != 10 || strings.Contains(rest, "workers start") {
		t.Errorf("of a command, then %d lines:\n%s", n, rest)
	}
	b.Reset()
	say(newUpLog(json, upLogOptions{}, &b))
	if n := strings.Count(b.String(), "\n"); n != 10 || strings.Contains(b.String(), "spawned") {
		t.Errorf("of an app %d lines:\n%s", n, b.String())
	}
}

// TestUpLogOfUWSGI: its own words about starts and ends are for a log, not for a screen.
func TestUpLogOfUWSGI(t *testing.T) {
	var b strings.Builder
	for _, whole := range []bool{false, true} {
		l := newUpLog(slog.NewTextHandler(&b, nil), upLogOptions{terminal: true, whole: whole}, &b)
		for _, line := range []string{
			"WSGI app 0 (mountpoint='') ready in 1 seconds on interpreter 0x7f0a pid: 7 (default app)",
			"python tracebacker for worker 2 available on /run/traceback2", "Mon Nov 23 21:11:52 2026 - graceful shutdown triggered...",
			"Gracefully killing worker 1 (pid: 7)...", "worker 1 buried after 1 seconds", "goodbye to uWSGI.",
		} {
			l.Info("worker", "line", line)
		}
		l.Info("worker", "line", "worker 1 buried treasure")
		if n := strings.Count(b.String(), "\n"); n != map[bool]int{false: 1, true: 8}[whole] {
			t.Errorf("whole %t: %d lines:\n%s", whole, n, b.String())
		}
	}
	b.Reset()
	newUpLog(slog.NewTextHandler(&b, nil), upLogOptions{terminal: true}, &b).Warn("workers run as root", "cure", "say user: in the options of the workers")
	if want := "headgate: workers run as root: --user NAME runs them as another\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
