package uwsgi

import (
	"errors"
	"net"
)

// upgraded is a connection that has left HTTP. As with any net.Conn one
// goroutine may read while another writes.
type upgraded struct {
	net.Conn
	x     *exchange
	early []byte // came with the head; only Read touches it
}

// Read gives what came with the head first.
func (u *upgraded) Read(p []byte) (int, error) {
	if len(u.early) > 0 {
		n := copy(p, u.early)
		u.early = u.early[n:]
		return n, nil
	}
	return u.Conn.Read(p)
}

// Close ends both directions. The member is done with the request.
func (u *upgraded) Close() error {
	u.x.land()
	return u.Conn.Close()
}

// CloseWrite ends the sending half; the other goes on.
func (u *upgraded) CloseWrite() error {
	if h, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}
