package h1_test

import (
	"testing"

	"headgate/gateway/wire"
)

// TestChunkSizesWithWhitespace: RFC 9112, 7.1.1 has a recipient take bad whitespace
// before the extensions of a chunk; nginx and net/http take it behind the size.
func TestChunkSizesWithWhitespace(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	for _, size := range []string{"5 ;a=b", "5\t;a=b", "5;a = b", "5 ", "5  \t"} {
		c := s.dial()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + size + "\r\nhello\r\n0\r\n\r\n" + get("/next"))
		if got := c.next("POST"); got.StatusCode != 200 {
			t.Errorf("%q: got %d %q, want 200", size, got.StatusCode, got.body)
			continue
		}
		c.want(200, "/next")
	}
}

// TestUnreadChunkedBodyThatIsThereIsSkipped: a body that nobody wanted and that has
// come whole costs its client no connection, however it is framed.
func TestUnreadChunkedBodyThatIsThereIsSkipped(t *testing.T) {
	t.Parallel()
	s := start(t, func(s wire.Stream, r *wire.Request) { say(s, 404, r.Target) })
	for _, body := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		c := s.dial()
		c.send("POST /first HTTP/1.1\r\nHost: a\r\n" + body + get("/next"))
		if got := c.want(404, "/first"); got.Close {
			t.Errorf("%q: the connection ends with the answer", body)
			continue
		}
		c.want(404, "/next")
	}
}
