package main

import (
	"bytes"
	"errors"
	"runtime"
	"syscall"
)

const httpBuffer = 64 << 10

var errHead = errors.New("not an HTTP request")

// serveHTTP answers the requests of a connection, one after the other.
func (s *worker) serveHTTP(fd int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer syscall.Close(fd)
	buf := make([]byte, httpBuffer)
	for s.exchangeHTTP(fd, buf) == nil {
	}
}

// exchangeHTTP answers one request. Nobody who asks here sends a second one, or
// a body of unknown length, before the answer.
func (s *worker) exchangeHTTP(fd int, buf []byte) error {
	got, end := 0, -1
	for end < 0 {
		if got == len(buf) {
			return errHead
		}
		n, err := read(fd, buf[got:])
		if err != nil {
			return err
		}
		got += n
		end = bytes.Index(buf[:got], []byte("\r\n\r\n"))
	}
	path, length, err := parseHead(buf[:end])
	if err != nil {
		return err
	}
	if err := discard(fd, length-(got-end-4), buf[end:]); err != nil {
		return err
	}
	return s.answer(fd, path)
}

// parseHead returns the path and the Content-Length of a request's head.
func parseHead(b []byte) (path []byte, length int, err error) {
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	parts := bytes.Fields(line)
	if len(parts) != 3 {
		return nil, 0, errHead
	}
	path, _, _ = bytes.Cut(parts[1], []byte("?"))
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = contentLength(bytes.TrimSpace(value)); err != nil {
				return nil, 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return nil, 0, errHead
		}
	}
	return path, length, nil
}
