package origin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// upgraded is a connection that has left HTTP. As with any net.Conn one
// goroutine may read while another writes.
type upgraded struct {
	net.Conn
	in io.Reader // what came with the head, then the connection
}

// Read gives what came with the head first.
func (u *upgraded) Read(p []byte) (int, error) { return u.in.Read(p) }

// CloseWrite ends the sending half; the other goes on.
func (u *upgraded) CloseWrite() error {
	if h, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// upgrade makes the connection the caller's. offered is the Upgrade field of the
// response.
func (x *exchange) upgrade(resp *http.Response, offered []string) *Error {
	in, ok := resp.Body.(io.ReadWriteCloser)
	switch {
	case x.req.upgrade() == "" || x.t.http2:
		return x.bad("the member switched protocols without being asked to", "")
	case !ok:
		return x.bad("the member switches protocols without saying to which", "")
	case len(offered) != 1 || !strings.EqualFold(offered[0], x.req.upgrade()):
		return x.bad("the member switches to another protocol than it was asked for", "")
	case x.send != nil && !x.send.over():
		return x.bad("the member switched protocols in the middle of the request's body", "")
	case !x.released.CompareAndSwap(false, true):
		return canceled(&Error{Stage: StageHead, Addr: x.t.name}, x.ctx)
	}
	resp.Header["Upgrade"] = offered
	x.link.conn.leave()
	x.resp.ContentLength = 0
	x.resp.Conn = &upgraded{Conn: x.link.conn.Conn, in: in}
	x.body.begin(http.NoBody, 0)
	x.cancel(errGivenUp)
	return nil
}
