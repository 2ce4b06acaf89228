package uwsgi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

func asError(t *testing.T, err error) *uwsgi.Error {
	t.Helper()
	var e *uwsgi.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e
}

func TestReachSendsNothing(t *testing.T) {
	for _, start := range []func(testing.TB, func(*uwsgitest.Conn)) *uwsgitest.Worker{uwsgitest.Start, uwsgitest.StartTCP} {
		got := make(chan string, 1)
		w := start(t, func(c *uwsgitest.Conn) {
			b := make([]byte, 16)
			n, err := c.Read(b)
			got <- string(b[:n]) + err.Error()
		})
		if err := newTransport(t, w.Addr(), uwsgi.Options{}).Reach(t.Context()); err != nil {
			t.Error(err)
		}
		if s := <-got; s != "EOF" {
			t.Errorf("the member got %q, want EOF", s)
		}
	}
}

// TestDeadlinesOfChecks: what is a context's end to a request is the member's
// fault in a check.
func TestDeadlinesOfChecks(t *testing.T) {
	w := uwsgitest.Start(t, (*uwsgitest.Conn).WaitClosed)
	cut := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
		c.WaitClosed()
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{})
	for _, tt := range []struct {
		name  string
		f     func(context.Context) error
		stage uwsgi.Stage
		cause string
		away  bool
	}{
		{"reach", newTransport(t, tcpAt(silentPort(t)), uwsgi.Options{}).Reach, uwsgi.StageDial, "no connection within", true},
		{"ping", func(ctx context.Context) error { _, err := tr.Ping(ctx); return err }, uwsgi.StageHead, "no answer within", false},
		{"check", func(ctx context.Context) error {
			_, err := tr.Check(ctx, uwsgi.CheckRequest{})
			return err
		}, uwsgi.StageHead, "no answer within", false},
		{"check, in the body", func(ctx context.Context) error {
			_, err := newTransport(t, cut.Addr(), uwsgi.Options{}).Check(ctx, uwsgi.CheckRequest{})
			return err
		}, uwsgi.StageBody, "not complete within", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
			defer cancel()
			e := asError(t, tt.f(ctx))
			if e.Stage != tt.stage || e.Kind != uwsgi.KindTimeout || !e.Timeout() || e.Blameless() || e.Away() != tt.away || !strings.Contains(e.Cause, tt.cause) {
				t.Errorf("got %v/%v, blameless %v, away %v: %v", e.Stage, e.Kind, e.Blameless(), e.Away(), e)
			}
			<-ctx.Done()
			if e := asError(t, tt.f(ctx)); e.Kind != uwsgi.KindCanceled || e.Away() || !e.Blameless() {
				t.Errorf("with a context that was over before: %v/%v, away %v", e.Stage, e.Kind, e.Away())
			}
			canceled, stop := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, stop)
			if e := asError(t, tt.f(canceled)); e.Kind != uwsgi.KindCanceled || e.Away() {
				t.Errorf("canceled: got %v/%v, away %v", e.Stage, e.Kind, e.Away())
			}
		})
	}
}

func TestPing(t *testing.T) {
	for _, tt := range []struct {
		name     string
		script   func(*uwsgitest.Conn)
		answered bool
		kind     uwsgi.Kind // 0: no error
		cause    string
	}{
		{"answered", func(c *uwsgitest.Conn) { c.Receive(); c.Send("\x64\x00\x00\x01") }, true, 0, ""},
		{"with a warning", func(c *uwsgitest.Conn) { c.Receive(); c.Send("\x64\x05\x00\x01tired") }, true, 0, ""},
		{"no plugin", func(c *uwsgitest.Conn) { c.Receive() }, false, 0, ""},
		{"gunicorn", func(c *uwsgitest.Conn) { c.Receive(); c.Send("HTTP/1.1 500 Internal Server Error\r\n\r\n") }, false, 0, ""},
		{"garbage", func(c *uwsgitest.Conn) { c.Receive(); c.Send("220 mail.example.com") }, false, uwsgi.KindBadAnswer, "220 mail"},
		{"unread", (*uwsgitest.Conn).Reset, false, uwsgi.KindNoAnswer, "not read by any worker"},
		{"silent", (*uwsgitest.Conn).WaitClosed, false, uwsgi.KindTimeout, "no answer to a ping within 40 ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := uwsgitest.Start(t, tt.script)
			o := uwsgi.Options{}
			if tt.kind == uwsgi.KindTimeout {
				o.ResponseTimeout = 40 * time.Millisecond
			}
			answered, err := newTransport(t, w.Addr(), o).Ping(t.Context())
			if answered != tt.answered || (err != nil) != (tt.kind != 0) {
				t.Fatalf("got %v, %v; want %v", answered, err, tt.answered)
			}
			if err != nil {
				wantError(t, asError(t, err), uwsgi.StageHead, tt.kind, true, tt.cause)
			} else if r := w.Requests()[0]; r.Modifier1 != 100 || r.Size != 0 {
				t.Errorf("the member got modifier %d and %d bytes", r.Modifier1, r.Size)
			}
		})
	}
	_, err := newTransport(t, unixAt(shortDir(t)+"/no.sock"), uwsgi.Options{}).Ping(t.Context())
	if e := asError(t, err); !e.Away() {
		t.Errorf("nobody there: %v", e)
	}
}

func TestCheck(t *testing.T) {
	w := answerer(t, "HTTP/1.1 204 No Content\r\n\r\n")
	tr := newTransport(t, w.Addr(), uwsgi.Options{})
	status, err := tr.Check(t.Context(), uwsgi.CheckRequest{Host: "shop.example.com:8443", URI: "/health%20z?full=1", Scheme: "https", Method: "HEAD"})
	if status != 204 || err != nil {
		t.Errorf("got %d, %v", status, err)
	}
	if _, err := tr.Check(t.Context(), uwsgi.CheckRequest{}); err != nil {
		t.Error(err)
	}
	for i, want := range []map[string]string{
		{
			"REQUEST_METHOD": "HEAD", "PATH_INFO": "/health z", "QUERY_STRING": "full=1", "REQUEST_URI": "/health%20z?full=1", "HTTPS": "on",
			"HTTP_HOST": "shop.example.com:8443", "SERVER_NAME": "shop.example.com", "SERVER_PORT": "8443", "REMOTE_ADDR": "127.0.0.1",
			"HTTP_USER_AGENT": "headgate-check", "HTTP_X_HEADGATE_CHECK": "1", "CONTENT_LENGTH": "",
		},
		{
			"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "REQUEST_URI": "/", "HTTPS": "",
			"HTTP_HOST": "localhost", "SERVER_NAME": "localhost", "SERVER_PORT": "80", "UWSGI_SCHEME": "http",
		},
	} {
		for k, v := range want {
			if got := w.Requests()[i].Var(k); got != v {
				t.Errorf("request %d: %s = %q, want %q", i, k, got, v)
			}
		}
	}
}

func TestCheckReadsOnlySoMuch(t *testing.T) {
	written := make(chan int, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\n\r\n")
		total, block := 0, make([]byte, 16<<10)
		for {
			n, err := c.Write(block)
			if total += n; err != nil {
				written <- total
				return
			}
		}
	})
	status, err := newTransport(t, w.Addr(), uwsgi.Options{}).Check(t.Context(), uwsgi.CheckRequest{})
	if status != 200 || err != nil {
		t.Errorf("got %d, %v; want 200", status, err)
	}
	if n := <-written; n > 4<<20 {
		t.Errorf("the member wrote %d bytes before the connection was closed", n)
	}
}

func TestCheckOfAnAnswerThatIsCut(t *testing.T) {
	w := answerer(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
	status, err := newTransport(t, w.Addr(), uwsgi.Options{}).Check(t.Context(), uwsgi.CheckRequest{})
	if e := asError(t, err); status != 200 || e.Kind != uwsgi.KindCut {
		t.Errorf("got %d, %v; want a body that was cut", status, err)
	}
}

func TestRealUWSGIPing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args     []string
		answered bool
	}{{nil, false}, {[]string{"--plugin", "ping"}, true}} {
		tr := unixUWSGI(t, tt.args...)
		if answered, err := tr.Ping(t.Context()); answered != tt.answered || err != nil {
			t.Errorf("%v: got %v, %v; want %v", tt.args, answered, err, tt.answered)
		}
		if err := tr.Reach(t.Context()); err != nil {
			t.Error(err)
		}
		if status, err := tr.Check(t.Context(), uwsgi.CheckRequest{URI: "/healthz"}); status != 200 || err != nil {
			t.Errorf("check: %d, %v", status, err)
		}
		var e *uwsgi.Error
		if _, err := tr.Check(t.Context(), uwsgi.CheckRequest{URI: "/raise"}); !errors.As(err, &e) || e.Kind != uwsgi.KindNoAnswer {
			t.Errorf("check of an app that raises: %v", err)
		}
	}
}

func TestRealGunicornPing(t *testing.T) {
	t.Parallel()
	tr := realGunicorn(t)
	if answered, err := tr.Ping(t.Context()); answered || err != nil {
		t.Errorf("got %v, %v; want that it cannot tell", answered, err)
	}
}
