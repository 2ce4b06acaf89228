package origin

import (
	"context"
	"io"
	"net/http"
)

// Reach connects to the member and closes the connection again; of HTTP/2 it
// waits for the member's SETTINGS too. It blocks for at most twice the connect
// timeout. The error is an *Error.
func (t *Transport) Reach(ctx context.Context) error {
	if t.http2 {
		l, e := t.open(ctx)
		if e != nil {
			return e
		}
		l.close()
		return nil
	}
	c, e := t.dial(ctx)
	if e != nil {
		return e
	}
	_ = c.Close()
	return nil
}

// Check asks the member for path and returns the status of the answer, whose
// body is read to its end, or to 64 KiB. The request says what it is by
// User-Agent and X-Headgate-Check. The error is an *Error; status is 0 unless
// there was a head.
func (t *Transport) Check(ctx context.Context, method, host, path string) (status int, err error) {
	resp, e := t.do(ctx, &Request{
		Method: method, Scheme: "http", Host: host, URI: path,
		Header: HeaderFields(http.Header{"User-Agent": {"headgate-check"}, "X-Headgate-Check": {"1"}, "Accept": {"*/*"}}),
	})
	if e != nil {
		return 0, e
	}
	defer resp.Body.Close()
	if resp.Conn != nil { // it cannot be: nobody asked to switch
		_ = resp.Conn.Close()
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxCheckBytes))
	return resp.Status, err
}
