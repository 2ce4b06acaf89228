//go:build !linux

package uwsgi

import (
	"errors"
	"net"
	"syscall"
)

// dialUnix connects to a unix socket through package net.
func (t *Transport) dialUnix() (*conn, error) {
	name := t.addr.Addr
	nc, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: name})
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			return nil, errno
		}
		return nil, err
	}
	return &conn{Conn: nc, bare: nc, unix: true}, nil
}
