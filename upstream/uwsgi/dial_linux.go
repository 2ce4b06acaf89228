package uwsgi

import "syscall"

// dialUnix connects to a unix socket: socket and connect, nothing more. An error is a bare errno; EAGAIN means a full listen queue.
func dialUnix(name string, s *scratch) (*conn, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s.sockaddr.Name = name
	for {
		if err = syscall.Connect(fd, &s.sockaddr); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	var both struct { // one piece of memory
		conn conn
		file fileConn
	}
	c, f := &both.conn, &both.file
	f.fd, f.name = fd, name
	c.Conn, c.bare, c.unix = f, f, true
	return c, nil
}
