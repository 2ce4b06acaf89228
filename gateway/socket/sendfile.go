package socket

import (
	"errors"
	"io"
	"os"
)

// errUnable is why a file is copied: its file system or the system cannot send it.
var errUnable = errors.New("socket: the file cannot be sent by the system")

// SendFile writes head and behind it n bytes of f from offset on, all of them or an
// error, and returns how many of both. On Linux and TCP the bytes of the file do not
// pass through the memory of the process. Timeouts are those of Write. A file that
// has less ends in io.ErrUnexpectedEOF; other errors of the file are bare. The offset
// of f itself is not used. f is not closed, and somebody else who closes it meanwhile
// waits.
func (c *Conn) SendFile(head []byte, f *os.File, offset, n int64) (int64, error) {
	if c.fast == nil {
		return c.copyFile(head, f, offset, n, 0)
	}
	sent, err := c.fast.sendFile(head, f, offset, n)
	if errors.Is(err, errUnable) {
		return c.copyFile(head, f, offset, n, sent)
	}
	return sent, err
}

// copyBytes is how much is in memory of a file that is copied.
const copyBytes = 32 << 10

// copyFile is SendFile by reading and writing what is not sent yet.
func (c *Conn) copyFile(head []byte, f *os.File, offset, n, sent int64) (int64, error) {
	if left := int64(len(head)) - sent; left > 0 {
		m, err := c.Write(head[sent:])
		if sent += int64(m); err != nil {
			return sent, err
		}
	}
	buf := make([]byte, min(n, copyBytes))
	for all := int64(len(head)) + n; sent < all; {
		at := sent - int64(len(head))
		m, err := f.ReadAt(buf[:min(n-at, copyBytes)], offset+at)
		if m == 0 {
			return sent, truncated(err)
		}
		m, err = c.Write(buf[:m])
		if sent += int64(m); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// truncated is the error of a file that ends too soon, or another.
func truncated(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
