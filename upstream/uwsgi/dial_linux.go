package uwsgi

import "syscall"

// dialUnix connects to a unix socket: socket and connect, nothing more. An error is a bare errno; EAGAIN means a full listen queue.
func (t *Transport) dialUnix() (*conn, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if errno := t.sockaddr.connect(fd); errno != 0 {
		_ = closeNow(fd)
		return nil, errno
	}
	var both struct { // one piece of memory
		conn conn
		file fileConn
	}
	c, f := &both.conn, &both.file
	f.fd, f.name = fd, t.addr.Addr
	c.Conn, c.file, c.bare, c.unix = f, f, f, true
	return c, nil
}
