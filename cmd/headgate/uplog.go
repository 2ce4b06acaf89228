package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// upLog is the process log of headgate up. On a terminal it has the lines of the app
// as they are, what went wrong, and what has become of changed files, in words; else it
// is the log that other commands have.
type upLog struct {
	slog.Handler // with the level of the log
	screen       *screen
	whole, debug bool
}

// upLogOptions say for whom the log is.
type upLogOptions struct {
	terminal bool // a person

	// Also what workers write before they serve, which the log has at the level debug:
	// servers of apps have much to say then, and what a command says is its log.
	whole bool
}

// screen is where lines for people go; a nil one is none. What is said again, as of an
// app that is tried again and again, is said once until the app serves or has changed.
type screen struct {
	mu   sync.Mutex // guards the fields below
	w    io.Writer
	said map[string]string // the last text of each message that is no line of the app
}

// newUpLog returns the log of headgate up: h, or lines for people on w.
func newUpLog(h slog.Handler, o upLogOptions, w io.Writer) *slog.Logger {
	l := upLog{Handler: h, whole: o.whole, debug: h.Enabled(context.Background(), slog.LevelDebug)}
	if o.terminal && !l.debug {
		l.screen = &screen{w: w, said: map[string]string{}}
	}
	return slog.New(l)
}

// Enabled implements slog.Handler.
func (l upLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.whole || l.Handler.Enabled(ctx, level)
}

// Messages of package worker.
const (
	workerLine     = "worker" // with a line that they have written
	readyMessage   = "workers are ready"
	changedMessage = "files have changed"
)

// Handle implements slog.Handler.
func (l upLog) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Message == workerLine && r.Level < slog.LevelInfo && !l.debug:
		r.Level = slog.LevelInfo
	case !l.Handler.Enabled(ctx, r.Level):
		return nil
	}
	if l.screen == nil {
		return l.Handler.Handle(ctx, r)
	}
	text := inWords(r)
	if !l.whole && r.Message == workerLine && chatter.MatchString(text) {
		return nil
	}
	return l.screen.write(r.Message, text)
}

// WithAttrs implements slog.Handler.
func (l upLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	l.Handler = l.Handler.WithAttrs(attrs)
	return l
}

// WithGroup implements slog.Handler.
func (l upLog) WithGroup(name string) slog.Handler {
	l.Handler = l.Handler.WithGroup(name)
	return l
}

func (t *screen) write(message, text string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch message {
	case workerLine:
	case readyMessage, changedMessage:
		clear(t.said)
	default:
		if t.said[message] == text {
			return nil
		}
		t.said[message] = text
	}
	_, err := io.WriteString(t.w, text)
	return err
}

// inWords is what a person at a terminal is told of a record; "": nothing.
func inWords(r slog.Record) string {
	var rest bytes.Buffer
	var line, cause, cure string
	var more []string
	r.Attrs(func(a slog.Attr) bool {
		switch v := a.Value.Resolve(); a.Key {
		case "line":
			line = v.String()
		case "cause", "err":
			cause = v.String()
		case "tail", "files":
			more, _ = v.Any().([]string)
		case "pool", "generation", "pid", "request", "again", "old":
		case "cure":
			cure = v.String()
		default:
			fmt.Fprintf(&rest, " %s=%s", a.Key, v)
		}
		return true
	})
	switch {
	case r.Message == workerLine:
		return line + "\n"
	case r.Message == changedMessage:
		return "headgate: " + changed(more) + ": new workers start\n"
	case r.Level < slog.LevelWarn:
		return ""
	}
	text := "headgate: " + r.Message
	for _, s := range []string{asFlags.Replace(cause), asFlags.Replace(cure)} {
		if s != "" {
			text += ": " + s
		}
	}
	if len(more) == 0 {
		return text + rest.String() + "\n"
	}
	return text + "\n" + strings.Join(more, "\n") + "\n"
}

// changed is which files have changed, as far as a line has room for them.
func changed(files []string) string {
	const most = 3
	names := make([]string, 0, most)
	for _, f := range files[:min(len(files), most)] {
		names = append(names, filepath.Base(f))
	}
	text := strings.Join(names, ", ")
	if more := len(files) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(files) == 1 {
		return text + " has changed"
	}
	return text + " have changed"
}

// chatter is what uWSGI says of itself whenever it starts and ends, and nobody needs who
// is told so by us.
var chatter = regexp.MustCompile(`(?s)^(?:\*\*\* Stats server enabled on |python tracebacker for worker \d|WSGI app \d+ \(mountpoint=.*\) ready in .*|` +
	`.{0,40}graceful shutdown triggered\.\.\.\n|Gracefully killing worker \d|worker \d+ buried after |goodbye to uWSGI\.\n)`)

// asFlags tells cures in the words of headgate up.
var asFlags = strings.NewReplacer("say user: in the options of the workers", "--user NAME runs them as another", "or set protocol: http", "or write --protocol http")
