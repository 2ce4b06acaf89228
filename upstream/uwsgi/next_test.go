package uwsgi_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

// TestNextGivesWhatReadWould takes bodies by Next for as long as there is
// something in memory, and by Read otherwise.
func TestNextGivesWhatReadWould(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 8<<10)
	for _, tt := range []struct{ name, answer, body string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", "hello"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nhello", "hello"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"},
		{"nothing", "HTTP/1.1 204 No Content\r\n\r\nhello", ""},
		{"long", "HTTP/1.1 200 OK\r\nContent-Length: 131072\r\n\r\n" + long, long},
		{"long without a length", "HTTP/1.1 200 OK\r\n\r\n" + long, long},
		{"long chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + long + "\r\n0\r\n\r\n", long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := answerer(t, tt.answer)
			resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(t.Context(), get("/"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var got strings.Builder
			small := make([]byte, 1000)
			for {
				for p := resp.Body.Next(); len(p) > 0; p = resp.Body.Next() {
					got.Write(p)
				}
				n, err := resp.Body.Read(small)
				got.Write(small[:n])
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if got.String() != tt.body {
				t.Errorf("got %d bytes, want %d", got.Len(), len(tt.body))
			}
			if resp.Body.Next() != nil || !resp.Body.Complete() {
				t.Error("there is something behind the end")
			}
		})
	}
}

func TestNextOfABadBody(t *testing.T) {
	w := answerer(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n")
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	p := resp.Body.Next()
	var e *uwsgi.Error
	if _, err := resp.Body.Read(make([]byte, 1)); len(p) > 0 || !errors.As(err, &e) || e.Kind != uwsgi.KindCut {
		t.Errorf("got %q, then %v", p, err)
	}
	resp.Body.Close()
	if resp.Body.Next() != nil {
		t.Error("there is something after Close")
	}
}

// listed is Fields that can be walked through in both ways.
type listed struct{ uwsgi.FieldList }

func TestFieldsGiveTheSamePacket(t *testing.T) {
	fields := uwsgi.FieldList{{"Cookie", "a=1"}, {"X-Foo", "1"}, {"x_foo", "2"}, {"cookie", "b=2"}, {"", "nameless"}, {"Connection", "x-bar"}, {"X-Bar", "3"}, {"Content-Type", "a/b"}}
	var want string
	for i, header := range []uwsgi.Fields{fields, listed{fields}, onlyRange{fields}} {
		req := get("/")
		req.Header = header
		var e uwsgi.Encoder
		packet, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = string(packet)
		}
		if string(packet) != want || !strings.Contains(want, "a=1; b=2") || strings.Contains(want, "HTTP_X_BAR") {
			t.Errorf("%T: got %q, want %q", header, packet, want)
		}
	}
}

// onlyRange hides everything but Range.
type onlyRange struct{ fields uwsgi.FieldList }

func (r onlyRange) Range(f func(name, value string) bool) { r.fields.Range(f) }

// TestSpooledBodyArrives uploads bodies from memory and from a file.
func TestSpooledBodyArrives(t *testing.T) {
	for name, size := range map[string]int{"memory": 200<<10 + 7, "file": 3<<20 + 7} {
		t.Run(name, func(t *testing.T) {
			body := strings.Repeat("0123456789abcde", size/15+1)[:size]
			spool, err := new(uwsgi.Spooler).Read(strings.NewReader(body), -1)
			if err != nil {
				t.Fatal(err)
			}
			defer spool.Close()
			if spool.InFile() != (name == "file") {
				t.Fatalf("in a file: %v", spool.InFile())
			}
			w := answerer(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
			req := get("/")
			req.Method, req.ContentLength, req.Rewind = "POST", int64(size), spool.Rewind
			for range 2 {
				req.Body = spool.NewReader()
				do(t, tr, req)
			}
			for _, r := range w.Requests() {
				if string(r.Body) != body {
					t.Errorf("%d bytes arrived, and not as they were sent", len(r.Body))
				}
			}
			if len(w.Requests()) != 2 {
				t.Errorf("%d requests arrived", len(w.Requests()))
			}
		})
	}
}

// TestSpoolIsClosedWhileItIsSent has the memory of a body that is being written
// stay what it is until the kernel has it.
func TestSpoolIsClosedWhileItIsSent(t *testing.T) {
	closed, read := make(chan struct{}), make(chan string, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.ReceiveVars()
		var one [1]byte
		_, _ = c.Read(one[:]) // the body is on its way
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
		<-closed
		b, _ := io.ReadAll(c)
		read <- string(b)
	})
	spooler := &uwsgi.Spooler{Memory: 2 << 20}
	fill := func(s string) *uwsgi.Spool {
		spool, err := spooler.Read(strings.NewReader(strings.Repeat(s, 1<<20)), -1)
		if err != nil {
			t.Fatal(err)
		}
		return spool
	}
	spool := fill("a")
	req := get("/")
	req.Method, req.ContentLength, req.Rewind = "POST", 1<<20, spool.Rewind
	req.Body = spool.NewReader()
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI}).Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	spool.Close()
	other := fill("b")
	defer other.Close()
	close(closed)
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
		t.Error("the request's body was closed before its end, and nobody has said so")
	}
	resp.Body.Close()
	if got := <-read; strings.Contains(got, "b") || got == "" {
		t.Errorf("of %d bytes that arrived some are another body's", len(got))
	}
}
