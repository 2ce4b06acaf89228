package uwsgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

func newTransport(t testing.TB, addr uwsgi.Address, o uwsgi.Options) *uwsgi.Transport {
	t.Helper()
	tr, err := uwsgi.NewTransport(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdle)
	return tr
}

func get(path string) *uwsgi.Request {
	return &uwsgi.Request{
		Method: "GET", Proto: "HTTP/1.1", Scheme: "http", Host: "shop.example.com", ServerName: "shop.example.com", ServerPort: "80",
		URI: path, PathInfo: path, Remote: netip.MustParseAddrPort("192.0.2.7:1234"), Header: uwsgi.HeaderFields{},
	}
}

// post has a body that cannot be read a second time.
func post(body string) *uwsgi.Request {
	r := get("/")
	r.Method, r.Body, r.ContentLength = "POST", io.MultiReader(strings.NewReader(body)), int64(len(body))
	return r
}

// replayable has a body that can.
func replayable(body string) *uwsgi.Request {
	r := post(body)
	r.Body = strings.NewReader(body)
	r.Rewind = func() (io.Reader, error) { return strings.NewReader(body), nil }
	return r
}

// answerer is a worker that reads a request and says answer.
func answerer(t testing.TB, answer string) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			c.Send(answer)
		}
	})
}

func do(t testing.TB, tr *uwsgi.Transport, req *uwsgi.Request) (*uwsgi.Response, string) {
	t.Helper()
	resp, err := tr.Do(t.Context(), req)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	resp.Fields = slices.Clone(resp.Fields) // they outlive the body
	return resp, string(body)
}

func header(resp *uwsgi.Response) http.Header {
	h := http.Header{}
	for _, f := range resp.Fields {
		h.Add(f.Name, f.Value)
	}
	return h
}

// doError runs req to its failure, in the head or in the body.
func doError(t testing.TB, tr *uwsgi.Transport, req *uwsgi.Request) *uwsgi.Error {
	t.Helper()
	resp, err := tr.Do(t.Context(), req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	var e *uwsgi.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e
}

func wantError(t testing.TB, e *uwsgi.Error, stage uwsgi.Stage, kind uwsgi.Kind, neverRan bool, cause string) {
	t.Helper()
	if e.Stage != stage || e.Kind != kind || e.NeverRan != neverRan || !strings.Contains(e.Cause, cause) {
		t.Errorf("got %v/%v never ran %v: %v\nwant %v/%v never ran %v: %q", e.Stage, e.Kind, e.NeverRan, e, stage, kind, neverRan, cause)
	}
	if e.Addr == "" {
		t.Error("the error names no member")
	}
}

func TestResponseForms(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int
		reason, body string
		length       int64
	}{
		{"uwsgi", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", 200, "OK", "hello", -1},
		{"http 1.0", "HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n", 404, "Not Found", "", -1},
		{"http 2.0", "HTTP/2.0 200 OK\r\n\r\nx", 200, "OK", "x", -1},
		{"http 3", "HTTP/3 200 OK\r\n\r\nx", 200, "OK", "x", -1},
		{"no reason", "HTTP/1.1 299\r\n\r\nx", 299, "", "x", -1},
		{"no reason but a space", "HTTP/1.1 299 \r\n\r\nx", 299, "", "x", -1},
		{"line feeds only", "HTTP/1.1 201 Created\nA: b\n\nx", 201, "Created", "x", -1},
		{"cgi status", "Status: 403 Nope\r\nA: b\r\n\r\nx", 403, "Nope", "x", -1},
		{"cgi status last", "A: b\r\nStatus: 410\r\n\r\nx", 410, "", "x", -1},
		{"cgi location", "A: b\r\nLocation: /x\r\n\r\n", 302, "", "", -1},
		{"cgi nothing", "A: b\r\n\r\nx", 200, "", "x", -1},
		{"status line wins", "HTTP/1.1 200 OK\r\nStatus: 500 No\r\n\r\n", 200, "OK", "", -1},
		{"counted", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "OK", "hello", 5},
		{"more than counted", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world", 200, "OK", "hello", 5},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "OK", "", 0},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n2\r\n, \r\n0\r\nT: x\r\n\r\n", 200, "OK", "hello, ", -1},
		{"204 with a body", "HTTP/1.1 204 No Content\r\n\r\nhello", 204, "No Content", "", 0},
		{"304 with a body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", 304, "Not Modified", "", 5},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "OK", "x", 1},
	}
	for _, tt := range tests {
		for _, send := range []struct {
			how string
			f   func(*uwsgitest.Conn, string)
		}{{"at once", (*uwsgitest.Conn).Send}, {"byte by byte", (*uwsgitest.Conn).SendBytes}} {
			t.Run(tt.name+" "+send.how, func(t *testing.T) {
				w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
					c.Receive()
					send.f(c, tt.answer)
				})
				resp, body := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), get("/"))
				if resp.Status != tt.status || resp.Reason != tt.reason || body != tt.body || resp.ContentLength != tt.length {
					t.Errorf("got %d %q %d %q, want %d %q %d %q",
						resp.Status, resp.Reason, resp.ContentLength, body, tt.status, tt.reason, tt.length, tt.body)
				}
			})
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	w := answerer(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello")
	req := get("/")
	req.Method = "HEAD"
	resp, body := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
	if body != "" || resp.ContentLength != 5 || header(resp).Get("X") != "y" {
		t.Errorf("got %q, length %d", body, resp.ContentLength)
	}
}

func TestBadAnswers(t *testing.T) {
	tests := []struct {
		name, answer string
		stage        uwsgi.Stage
		kind         uwsgi.Kind
		cause        string
	}{
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "more than one Content-Length"},
		{"length in words", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, `Content-Length "five"`},
		{"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "Content-Length"},
		{"length list", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "Content-Length"},
		{"both framings", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "both"},
		{"unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "Transfer-Encoding"},
		{"carriage return", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "byte 0x0d in the value of header A"},
		{"NUL", "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "byte 0x00"},
		{"space in the name", "HTTP/1.1 200 OK\r\nA b: c\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "byte 0x20 in the header name"},
		{"folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "without a colon"},
		{"no colon", "HTTP/1.1 200 OK\r\nhello\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "without a colon"},
		{"no status", "HTTP/1.1 okay\r\n\r\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "status line"},
		{"status 099", "HTTP/1.1 099 x\r\n\r\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "status line"},
		{"bad cgi status", "Status: nope\r\n\r\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "status"},
		{"garbage", "<html>hello</html>", uwsgi.StageHead, uwsgi.KindBadAnswer, "not a response"},
		{"ssh", "SSH-2.0-OpenSSH\r\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "SSH"},
		{"tls alert", "\x15\x03\x01\x00\x02\x02\x46", uwsgi.StageHead, uwsgi.KindBadAnswer, "TLS"},
		{"http 0.9", "hello\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "not a response"},
		{"101 unasked", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "without being asked"},
		{"too large", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 70) + "\r\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "64 KiB"},
		{"too many fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 513) + "\r\n", uwsgi.StageHead, uwsgi.KindBadAnswer, "512"},
		{"interim for ever", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20), uwsgi.StageHead, uwsgi.KindBadAnswer, "interim"},
		{"nginx", "HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", uwsgi.StageHead, uwsgi.KindBadAnswer, "speak HTTP"},
		{"short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", uwsgi.StageBody, uwsgi.KindCut, "5 of 10 bytes are missing"},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", uwsgi.StageBody, uwsgi.KindCut, "last chunk"},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", uwsgi.StageBody, uwsgi.KindCut, "chunks"},
		{"cut in the head", "HTTP/1.1 200 OK\r\nA: ", uwsgi.StageHead, uwsgi.KindNoAnswer, "in the middle of the response's head, after 20 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := answerer(t, tt.answer)
			e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{}), get("/"))
			wantError(t, e, tt.stage, tt.kind, tt.name == "nginx", tt.cause)
		})
	}
}

func TestGenuine400Passes(t *testing.T) {
	w := answerer(t, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx")
	if resp, _ := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), get("/")); resp.Status != 400 {
		t.Errorf("got %d, want 400", resp.Status)
	}
}

func TestHeaderHygiene(t *testing.T) {
	w := answerer(t, "HTTP/1.1 200 OK\r\nCONTENT-type: a\r\ncontent-type: b\r\nSet-Cookie: a=1\r\nconnection: close, X-hop\r\nx-Hop: 1\r\n"+
		"Keep-Alive: timeout=5\r\nTE: x\r\nTrailer: y\r\nProxy-Connection: z\r\nUpgrade: h2c\r\nStatus: 500\r\nX_Y:\t  v \t\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n")
	resp, _ := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), get("/"))
	want := []uwsgi.Field{{"CONTENT-type", "a"}, {"Set-Cookie", "a=1"}, {"X_Y", "v"}, {"set-cookie", "b=2"}}
	if !slices.Equal(resp.Fields, want) {
		t.Errorf("got %q, want %q", resp.Fields, want)
	}
}

func TestInterimReachesTheCaller(t *testing.T) {
	w := answerer(t, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	req := get("/")
	var got []string
	req.Interim = func(status int, fields []uwsgi.Field) {
		got = append(got, fmt.Sprint(http.StatusText(status), fields))
	}
	do(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
	if strings.Join(got, ";") != "Early Hints[{Link </a.css>}]" {
		t.Errorf("got %q", got)
	}
}

func TestWorkerIsFreeBeforeTheBodyIsRead(t *testing.T) {
	closed := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		c.WaitClosed()
		close(closed)
	})
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var first [1]byte
	if _, err := io.ReadFull(resp.Body, first[:]); err != nil {
		t.Fatal(err)
	}
	<-closed // or the test times out
	if !resp.Body.Complete() || resp.Body.Buffered() != 4 {
		t.Errorf("complete %v, buffered %d; want true and 4", resp.Body.Complete(), resp.Body.Buffered())
	}
	if rest, err := io.ReadAll(resp.Body); string(rest) != "ello" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestReadAfterClose(t *testing.T) {
	w := answerer(t, "HTTP/1.1 200 OK\r\n\r\nhello")
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != uwsgi.ErrBodyClosed {
		t.Errorf("got %v, want ErrBodyClosed", err)
	}
}

func TestAbortWakesARead(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\n\r\n")
		c.WaitClosed()
	})
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	go resp.Body.Abort()
	var e *uwsgi.Error
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.As(err, &e) || e.Kind != uwsgi.KindCanceled {
		t.Errorf("got %v, want a cancelled read", err)
	}
}

func TestCancel(t *testing.T) {
	got := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		close(got)
		c.WaitClosed()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-got
		cancel()
	}()
	_, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(ctx, get("/"))
	var e *uwsgi.Error
	if !errors.As(err, &e) || e.Kind != uwsgi.KindCanceled || e.NeverRan || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCancelInTheBody(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\n\r\n")
		c.WaitClosed()
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(ctx, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	var e *uwsgi.Error
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.As(err, &e) || e.Kind != uwsgi.KindCanceled {
		t.Errorf("got %v, want KindCanceled", err)
	}
}

func TestSilentWorker(t *testing.T) {
	for _, tt := range []struct {
		name, said string
		stage      uwsgi.Stage
		cause      string
	}{
		{"nothing", "", uwsgi.StageHead, "no answer within 50 ms"},
		{"half a head", "HTTP/1.1 200 OK\r\n", uwsgi.StageHead, "not complete within"},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", uwsgi.StageBody, "nothing more of the response's body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
				c.Receive()
				c.Send(tt.said)
				c.WaitClosed()
			})
			e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{ResponseTimeout: 50 * time.Millisecond}), get("/"))
			wantError(t, e, tt.stage, uwsgi.KindTimeout, false, tt.cause)
			if !e.Timeout() {
				t.Error("Timeout() is false")
			}
		})
	}
}

func TestUpgrade(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		c.Send("HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\nearly " + r.Var("HTTP_UPGRADE"))
		b, _ := io.ReadAll(c)
		c.Send(" got " + string(b))
	})
	req := get("/ws")
	req.Upgrade = "websocket"
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // the connection outlives it
	defer resp.Body.Close()
	defer resp.Conn.Close()
	io.WriteString(resp.Conn, "ping")
	resp.Conn.(interface{ CloseWrite() error }).CloseWrite()
	got, err := io.ReadAll(resp.Conn)
	if string(got) != "early websocket got ping" || err != nil || resp.Status != 101 || header(resp).Get("Upgrade") != "WebSocket" {
		t.Errorf("got %q, %v, %d, %v", got, err, resp.Status, resp.Fields)
	}
}
