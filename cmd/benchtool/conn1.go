package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
)

const conn1Buffer = 16 << 10

// A conn1 is an HTTP/1.1 connection with one request at a time.
type conn1 struct {
	net.Conn
	request []byte
	buf     []byte
}

func newConn1(c net.Conn, t *target) *conn1 {
	return &conn1{
		Conn:    c,
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: benchtool\r\nAccept: */*\r\n\r\n", t.path, t.host),
	}
}

// send sends the request.
func (c *conn1) send() error {
	_, err := c.Write(c.request)
	return err
}

// receive reads an answer, and returns the size of its body. An answer other
// than 200, or of unknown length, is an error.
func (c *conn1) receive() (int, error) {
	if c.buf == nil {
		c.buf = make([]byte, conn1Buffer)
	}
	got, end := 0, -1
	for end < 0 {
		if got == len(c.buf) {
			return 0, errors.New("the head of the answer is too long")
		}
		n, err := c.Read(c.buf[got:])
		if err != nil {
			return 0, err
		}
		got += n
		end = bytes.Index(c.buf[:got], []byte("\r\n\r\n"))
	}
	length, err := parseAnswer(c.buf[:end+2])
	if err != nil {
		return 0, err
	}
	for rest := length - (got - end - 4); rest > 0; {
		n, err := c.Read(c.buf[:min(rest, len(c.buf))])
		if err != nil {
			return 0, err
		}
		rest -= n
	}
	return length, nil
}

// parseAnswer returns the Content-Length of an answer's head.
func parseAnswer(head []byte) (int, error) {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return 0, fmt.Errorf("answered %.60q", line)
	}
	for _, name := range []string{"\r\nContent-Length:", "\r\ncontent-length:"} {
		_, value, found := bytes.Cut(head, []byte(name))
		if !found {
			continue
		}
		value, _, _ = bytes.Cut(value, []byte("\r\n"))
		n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil || n < 0 {
			return 0, fmt.Errorf("Content-Length is %.20q", value)
		}
		return n, nil
	}
	return 0, errors.New("the answer has no Content-Length")
}
