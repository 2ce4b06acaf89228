package wire

import (
	"context"
	"io"
	"net"
	"time"
)

// Handler answers the requests of one connection. Serve is called for each, on
// HTTP/2 and HTTP/3 for several at once; the stream ends when it returns. A panic
// of Serve ends the stream as Abort does, and nothing else.
type Handler interface {
	Serve(s Stream, r *Request)
}

// Stream is where the body of a request comes from and its answer goes to. It
// must not be used after Serve has returned. Read may run beside the writing
// methods; Context, StopRead and Abort may be called by anybody at any time; all
// else belongs to one goroutine.
type Stream interface {
	// Context ends when the client has gone, when the stream was reset, and when
	// Serve has returned. It is made when it is first asked for, and the client
	// is watched only once somebody waits on it.
	Context() context.Context

	// Read reads the body without its coding. The first one tells a client that
	// waits for it to go on (100 Continue). io.EOF is returned only at the end
	// that the framing tells; a body that was cut ends in another error. A Read
	// that waits for longer than the read timeout ends in os.ErrDeadlineExceeded.
	io.Reader

	// SetReadTimeout is how long each Read may wait; 0 or less: for ever.
	SetReadTimeout(d time.Duration)

	// StopRead makes a Read that waits return soon with os.ErrDeadlineExceeded,
	// and every later one at once. The rest of the body is not wanted.
	StopRead()

	// Unread reports whether the body has not been read to its end.
	Unread() bool

	// Interim sends a 1xx answer ahead of the final one.
	Interim(status int, f Fields) error

	// WriteHead begins the final answer; it may wait for the first Write or for
	// Flush before anything is sent. The engine writes Date if it is not in f,
	// and everything that frames the answer: f must not have Content-Length,
	// Transfer-Encoding, Connection, or any other field that belongs to the hop.
	// length is what Content-Length says, -1 if only the end tells it. It is the
	// length that is declared when the answer has no body (HEAD, 304).
	// It is called once; names of f are sent in lower case where the protocol
	// demands it.
	WriteHead(status int, f Fields, length int64)

	// Write sends a part of the body, all of p or an error, and keeps nothing of
	// p. To HEAD, and with 204 and 304, nothing is sent. More than the length
	// that was declared is an error.
	Write(p []byte) (int, error)

	// Flush sends what is held back. Serve need not call it at the end.
	Flush() error

	// SetWriteTimeout is how long a Write or Flush may wait for the client to
	// take anything; 0 or less: for ever. One that waits longer ends in
	// os.ErrDeadlineExceeded, and the stream with it.
	SetWriteTimeout(d time.Duration)

	// CloseAfter ends the connection after this answer, where one connection has
	// one request at a time (HTTP/1.1); the answer says so if its head is not
	// out yet.
	CloseAfter()

	// Abort ends the stream so that the client sees that the answer is not
	// whole: a reset, or a connection that closes before the last chunk. Serve
	// still has to return.
	Abort()

	// Hijack gives the connection to the caller, with the bytes that have come
	// behind the head. Only HTTP/1.1 can do it, before WriteHead: otherwise the
	// error is ErrNoHijack. The Context goes on until Serve has returned, and
	// nobody watches the client any more.
	Hijack() (c net.Conn, early []byte, err error)
}
