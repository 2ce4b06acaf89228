package uwsgi

import (
	"errors"
	"net/http"
)

// ParseResponseHead finds and parses the head at the beginning of b.
func ParseResponseHead(b []byte) (status int, reason string, header http.Header, length int64, err error) {
	end := headEnd(b, 0)
	if end < 0 {
		return 0, "", nil, 0, errors.New("no end")
	}
	var h head
	err = h.parse(b[:end])
	return h.status, h.reason, h.header, h.length, err
}

// HeadEnd is headEnd after the first from bytes were seen.
func HeadEnd(b []byte, from int) int { return headEnd(b, from) }

// DecodeChunked decodes src, handed over in pieces of step bytes and taken in
// pieces of want. used counts what belongs to the body.
func DecodeChunked(src []byte, step, want int) (data []byte, used int, done bool, err error) {
	var d chunked
	for used < len(src) && !d.done() {
		p, n, err := d.next(src[used:min(used+step, len(src))], want)
		if err != nil {
			return data, used, false, err
		}
		data, used = append(data, p...), used+n
	}
	return data, used, d.done(), nil
}
