package main

import (
	"encoding/binary"
	"errors"
	"strconv"
)

const headerSize = 4 // of a packet: modifier1, size of the variables, modifier2

var errPacket = errors.New("not a uwsgi packet")

// serveUWSGI answers the one request of a connection.
func (s *worker) serveUWSGI(fd int, buf []byte) error {
	got, end := 0, headerSize
	for got < end {
		n, err := read(fd, buf[got:])
		if err != nil {
			return err
		}
		got += n
		if got >= headerSize {
			end = headerSize + int(binary.LittleEndian.Uint16(buf[1:3]))
		}
	}
	if buf[0] == pingPacket {
		return write(fd, []byte{pingPacket, 0, 0, 1})
	}
	path, length, err := vars(buf[headerSize:end])
	if err != nil {
		return err
	}
	if err := discard(fd, length-(got-end), buf[end:]); err != nil {
		return err
	}
	return s.answer(fd, path)
}

// vars returns PATH_INFO and CONTENT_LENGTH of a packet's variables. The path is
// part of b.
func vars(b []byte) (path []byte, length int, err error) {
	for len(b) > 0 {
		var key, value []byte
		if key, b, err = cut(b); err != nil {
			return nil, 0, err
		}
		if value, b, err = cut(b); err != nil {
			return nil, 0, err
		}
		switch string(key) {
		case "PATH_INFO":
			path = value
		case "CONTENT_LENGTH":
			if length, err = contentLength(value); err != nil {
				return nil, 0, err
			}
		}
	}
	return path, length, nil
}

// cut takes a string with its length before it off b.
func cut(b []byte) (s, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errPacket
	}
	n := 2 + int(binary.LittleEndian.Uint16(b))
	if len(b) < n {
		return nil, nil, errPacket
	}
	return b[2:n], b[n:], nil
}

func contentLength(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 0 {
		return 0, errPacket
	}
	return n, nil
}
