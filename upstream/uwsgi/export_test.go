package uwsgi

import (
	"bufio"
	"bytes"
	"errors"
)

// ParseResponseHead finds and parses the head at the beginning of b.
func ParseResponseHead(b []byte) (status int, reason string, fields []Field, length int64, err error) {
	end := headEnd(b, 0)
	if end < 0 {
		return 0, "", nil, 0, errors.New("no end")
	}
	var h head
	_, err = h.parse(b[:end], make([]Field, 0, 16))
	return h.status, h.reason, h.fields, h.length, err
}

// ParseHeadInto is ParseResponseHead with memory that is used again.
func ParseHeadInto(b []byte, to []Field) ([]Field, error) {
	var h head
	return h.parse(b[:headEnd(b, 0)], to)
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

// WatchEach returns what makes functions, each of which takes one exchange into
// the list of those in flight, among others, and out again.
func WatchEach(others int) func() func() {
	t := &Transport{watch: true}
	for range others {
		(&exchange{t: t}).fly()
	}
	return func() func() {
		x := &exchange{t: t}
		return func() {
			x.fly()
			x.land()
		}
	}
}

// WatchOne is WatchEach for one.
func WatchOne(others int) func() { return WatchEach(others)() }

// Flights returns how many exchanges t has in flight, which is counted twice.
func Flights(t *Transport) (count, walked int) {
	t.flights.mu.Lock()
	defer t.flights.mu.Unlock()
	for x := t.flights.first; x != nil; x = x.next {
		walked++
	}
	return t.flights.count, walked
}

// DecodeStats reads a document that is all there.
func DecodeStats(document []byte) (Stats, error) {
	return decodeStats(bufio.NewReader(bytes.NewReader(document)))
}
