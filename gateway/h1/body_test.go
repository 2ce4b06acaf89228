package h1_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"headgate/gateway/wire"
)

const chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// TestBadChunks: the Handler gets an error and no end, the client the answer and
// the end of the connection.
func TestBadChunks(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	for _, row := range []struct{ name, raw string }{
		{"no size", "\r\nabc\r\n0\r\n\r\n"},
		{"no digits", ";x\r\nabc\r\n0\r\n\r\n"},
		{"letters", "xyz\r\n"},
		{"prefix", "0x3\r\nabc\r\n0\r\n\r\n"},
		{"minus", "-3\r\nabc\r\n0\r\n\r\n"},
		{"plus", "+3\r\nabc\r\n0\r\n\r\n"},
		{"space before", " 3\r\nabc\r\n0\r\n\r\n"},
		{"space between digits", "0 3\r\nabc\r\n0\r\n\r\n"},
		{"space before the size", " 3\r\nabc\r\n0\r\n\r\n"},
		{"underscore", "1_0\r\n"},
		{"LF behind the size", "3\nabc\r\n0\r\n\r\n"},
		{"LF behind an extension", "3;x\nabc\r\n0\r\n\r\n"},
		{"CR in an extension", "3;x\ry\r\nabc\r\n0\r\n\r\n"},
		{"NUL in an extension", "3;\x00\r\nabc\r\n0\r\n\r\n"},
		{"no LF", "3\rabc\r\n0\r\n\r\n"},
		{"LF behind the data", "3\r\nabc\n0\r\n\r\n"},
		{"more data than the size", "3\r\nabcd\r\n0\r\n\r\n"},
		{"less data than the size", "5\r\nabc\r\n0\r\n\r\n"},
		{"17 digits", "00000000000000003\r\nabc\r\n0\r\n\r\n"},
		{"huge", "ffffffffffffffff\r\nabc"},
		{"2^63", "8000000000000000\r\nabc"},
		{"LF at the end", "0\r\n\n"},
		{"LF behind the last size", "0\n\r\n"},
		{"LF in the trailer", "0\r\nX-A: b\n\r\n"},
		{"folded trailer", "0\r\nX-A: b\r\n c\r\n\r\n"},
		{"trailer without colon", "0\r\nX-A\r\n\r\n"},
		{"trailer with a space before its colon", "0\r\nX-A : b\r\n\r\n"},
		{"trailer without name", "0\r\n: b\r\n\r\n"},
		{"control in the trailer", "0\r\nX-A: \x01\r\n\r\n"},
		{"long trailer", "0\r\nX-A: " + strings.Repeat("x", 9000) + "\r\n\r\n"},
		{"long extension", "1;" + strings.Repeat("x", 5000) + "\r\na\r\n0\r\n\r\n"},
		{"too much that is not data", strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 30) + "0\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			c.send(chunkedHead + row.raw + get("/smuggled"))
			if err := closeWrite(c); err != nil {
				t.Fatal(err)
			}
			if got := c.want(400, "body: "); !got.Close {
				t.Error("the connection stays open")
			}
			c.wantEnd()
		})
	}
}

func closeWrite(c *client) error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// TestManySmallChunks are legitimate.
func TestManySmallChunks(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	c := s.dial()
	c.send(chunkedHead + strings.Repeat("1\r\na\r\n", 20000) + "0\r\n\r\n" + get("/next"))
	c.want(200, strings.Repeat("a", 20000))
	c.want(200, "/next")
}

func TestBodyThatIsCut(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	for _, raw := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		chunkedHead, chunkedHead + "3", chunkedHead + "3\r\nab", chunkedHead + "3\r\nabc\r\n", chunkedHead + "0\r\n", chunkedHead + "0\r\nX: y\r\n",
	} {
		c := s.dial()
		c.send(raw)
		if err := closeWrite(c); err != nil {
			t.Fatal(err)
		}
		c.want(400, io.ErrUnexpectedEOF.Error())
		c.wantEnd()
	}
}

// TestLargeBodies arrive whole, whatever the size of the reads.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) {
		size := 0
		if _, err := fmt.Sscanf(r.Target, "/%d", &size); err != nil {
			panic(err)
		}
		var got bytes.Buffer
		p := make([]byte, size)
		for {
			n, err := s.Read(p)
			got.Write(p[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				say(s, 400, err.Error())
				return
			}
		}
		if n, err := s.Read(p); n != 0 || err != io.EOF || s.Unread() {
			t.Errorf("behind the end: %d, %v, unread %v", n, err, s.Unread())
		}
		s.WriteHead(200, nil, int64(got.Len()))
		_, _ = s.Write(got.Bytes())
	}, func(t *testing.T, s *server, dial func() *client) {
		want := strings.Repeat("0123456789abcdef", 20000)
		var chunked strings.Builder
		for i, n := 0, 1; i < len(want); i, n = i+n, n*3 {
			p := want[i:min(i+n, len(want))]
			fmt.Fprintf(&chunked, "%x\r\n%s\r\n", len(p), p)
		}
		chunked.WriteString("0\r\n\r\n")
		c := dial()
		for _, size := range []int{17, 1000, 4096, 100000} {
			go c.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, len(want), want))
			if got := c.next("POST"); got.body != want {
				t.Errorf("counted, by %d: got %d bytes, %d", size, len(got.body), got.StatusCode)
			}
			go c.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", size, chunked.String()))
			if got := c.next("POST"); got.body != want {
				t.Errorf("chunked, by %d: got %d bytes, %d", size, len(got.body), got.StatusCode)
			}
		}
	})
}

// TestFullDuplex: the answer begins before the body has ended, and Read runs
// beside Write.
func TestFullDuplex(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) {
		pieces := make(chan []byte)
		go func() {
			defer close(pieces)
			for {
				p := make([]byte, 1000)
				n, err := s.Read(p)
				if n > 0 {
					pieces <- p[:n]
				}
				if err != nil {
					return
				}
			}
		}()
		s.WriteHead(200, nil, -1)
		for p := range pieces {
			if _, err := s.Write(p); err != nil {
				t.Errorf("got %v", err)
			}
			if err := s.Flush(); err != nil {
				t.Errorf("got %v", err)
			}
		}
	}, func(t *testing.T, s *server, dial func() *client) {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			c := dial()
			c.send("POST / HTTP/1.1\r\nHost: a\r\n" + expect + "Content-Length: 50000\r\nConnection: close\r\n\r\n")
			for range 50 {
				c.send(strings.Repeat("x", 1000))
			}
			got := c.next("POST")
			if got.StatusCode == 100 {
				got = c.next("POST")
			}
			if len(got.body) != 50000 || got.err != nil {
				t.Errorf("%q: got %d bytes, %v", expect, len(got.body), got.err)
			}
		}
	})
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) {
		switch r.Target {
		case "/read":
			echo(s, r)
		case "/hints":
			_ = s.Interim(103, nil)
			echo(s, r)
		case "/late":
			s.WriteHead(200, nil, -1)
			_ = s.Flush()
			_, _ = io.ReadAll(s)
			_, _ = io.WriteString(s, "late")
		default:
			say(s, 200, "unread")
		}
	}, func(t *testing.T, s *server, dial func() *client) {
		const head = " HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
		c := dial()
		c.send("POST /read" + head)
		if got := c.next("POST"); got.StatusCode != 100 {
			t.Fatalf("got %d, want 100", got.StatusCode)
		}
		c.send("hi")
		if got := c.want(200, `"hi"`); got.Close {
			t.Error("the connection ends")
		}
		c.send("POST /read" + head + "hi") // it does not wait: nobody need tell it
		c.want(200, `"hi"`)
		c.send("POST /hints" + head)
		if a, b := c.next("POST"), c.next("POST"); a.StatusCode != 103 || b.StatusCode != 100 {
			t.Errorf("got %d and %d, want 103 and 100", a.StatusCode, b.StatusCode)
		}
		c.send("hi")
		c.want(200, `"hi"`)
		c.send("GET /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n") // no body to wait for
		c.want(200, `""`)
		c.send("POST /unread" + head)
		if got := c.want(200, "unread"); !got.Close {
			t.Error("a client that was not told to send its body must not go on")
		}
		c.wantEnd()
		c = dial()
		c.send("POST /read HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
		c.want(200, `"hi"`)
		c = dial()
		c.send("POST /late" + head)
		c.send("hi") // it did not wait for long
		if got := c.want(200, "late"); !got.Close {
			t.Error("the connection stays open")
		}
	})
}

// TestUnreadBody is thrown away if it is small, and the next request is served.
func TestUnreadBody(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) {
		if r.ContentLength != 0 && !s.Unread() {
			t.Error("Unread says no")
		}
		say(s, 200, r.Target)
		if r.Target == "/partly" {
			_, _ = s.Read(make([]byte, 10))
		}
	}, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		for _, path := range []string{"/all", "/partly"} {
			body := strings.Repeat("x", 200<<10)
			c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body) + get("/next"))
			if got := c.want(200, path); got.Close {
				t.Error("the connection ends")
			}
			c.want(200, "/next")
		}
		c.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: " + fmt.Sprint(len(get("/smuggled"))) + "\r\n\r\n" + get("/smuggled") + get("/next"))
		c.want(200, "/small")
		c.want(200, "/next")

		c.send("POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
		if got := c.want(200, "/big"); !got.Close {
			t.Error("the head does not say that the connection ends")
		}
		c.wantEnd()
		c = dial()
		c.send(strings.Replace(chunkedHead, "/ ", "/chunked ", 1) + "3\r\nabc\r\n0\r\n")
		if got := c.want(200, "/chunked"); !got.Close {
			t.Error("the head does not say that the connection ends")
		}
		c.wantEnd()
	})
}

// TestAnswerSurvivesTheRest: a client that sends its body although nobody wants it
// still gets the answer, and no reset before it.
func TestAnswerSurvivesTheRest(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) { say(s, 413, "too much") }, func(t *testing.T, s *server, dial func() *client) {
		for range 20 {
			c := dial()
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
			for range 10 {
				c.send(strings.Repeat("x", 10000))
			}
			c.want(413, "too much")
		}
	})
}

func TestStopRead(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) {
		if r.Target == "/next" {
			say(s, 200, "next")
			return
		}
		if r.Target == "/ended" {
			_, _ = io.ReadAll(s)
			s.StopRead()
			say(s, 200, "ended")
			return
		}
		read := make(chan error)
		go func() {
			_, err := io.ReadAll(s)
			read <- err
		}()
		s.StopRead()
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the next Read: got %v", err)
		}
		say(s, 403, "no")
	}, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		c.send("POST /ended HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
		c.want(200, "ended")
		c.send(get("/next"))
		c.want(200, "next")
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nx", 1+len(get("/next"))))
		if got := c.want(403, "no"); !got.Close {
			t.Error("the connection stays open")
		}
		_, _ = io.WriteString(c, get("/next")) // of the body; it may be closed
		c.wantEnd()
	})
}
