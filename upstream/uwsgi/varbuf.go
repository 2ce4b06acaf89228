package uwsgi

import (
	"bytes"
	"slices"
	"strings"
)

// varPos is where a variable lies in the buffer. Once the block is over the
// limit values are only counted, so size may be more than what is stored.
type varPos struct {
	at     int  // its key length
	key    int  // bytes of the key
	size   int  // bytes of the value
	header bool // from a header field of the request, which others may join
}

// end is the offset behind the variable, as long as the block is not over the
// limit.
func (v varPos) end() int { return v.at + 4 + v.key + v.size }

// put appends a variable, unless there is one of that name.
func (e *Encoder) put(key, value string) {
	at := len(e.buf)
	e.buf = append(e.buf, byte(len(key)), byte(len(key)>>8))
	e.buf = append(e.buf, key...)
	if e.claim(e.buf[at+2:]) >= 0 {
		e.buf = e.buf[:at]
		return
	}
	e.finish(at, value, false)
}

// putBytes is put for a value that is not a string. The value must not lie in
// e.buf.
func (e *Encoder) putBytes(key string, value []byte) {
	n := len(e.vars)
	e.put(key, "")
	if n == len(e.vars) || len(value) == 0 {
		return
	}
	v := &e.vars[n]
	v.size = len(value)
	if e.grow(len(value)) {
		e.buf = append(e.buf, value...)
		e.patch(n)
	}
}

// finish appends the value to a key that has been written at an offset.
func (e *Encoder) finish(at int, value string, header bool) {
	key := len(e.buf) - at - 2
	e.buf = append(e.buf, byte(len(value)), byte(len(value)>>8))
	if e.grow(4 + key + len(value)) {
		e.buf = append(e.buf, value...)
	}
	e.vars = append(e.vars, varPos{at: at, key: key, size: len(value), header: header})
}

// grow counts n more bytes of the block and reports whether they are to be
// stored. What does not fit is only measured, for the error.
func (e *Encoder) grow(n int) bool {
	e.need += n
	if e.need > MaxVarsBytes {
		e.over = true
	}
	return !e.over
}

// join appends to the value of a variable. Values of one name mostly come one
// after another, and then it is at the end.
func (e *Encoder) join(i int, sep, value string) {
	add := len(sep) + len(value)
	end := e.vars[i].end()
	e.vars[i].size += add
	if !e.grow(add) {
		return
	}
	if end == len(e.buf) {
		e.buf = append(e.buf, sep...)
		e.buf = append(e.buf, value...)
	} else {
		e.buf = slices.Grow(e.buf, add)[:len(e.buf)+add]
		copy(e.buf[end+add:], e.buf[end:])
		copy(e.buf[end:], sep)
		copy(e.buf[end+len(sep):], value)
		e.shift(i+1, add)
	}
	e.patch(i)
}

// remove takes a variable out again. The block must not be over the limit.
func (e *Encoder) remove(i int) {
	v := e.vars[i]
	gone := v.end() - v.at
	e.buf = append(e.buf[:v.at], e.buf[v.end():]...)
	e.need -= gone
	e.vars = slices.Delete(e.vars, i, i+1)
	e.shift(i, -gone)
}

func (e *Encoder) shift(from, by int) {
	for i := from; i < len(e.vars); i++ {
		e.vars[i].at += by
	}
}

// patch writes the length of a variable's value anew.
func (e *Encoder) patch(i int) {
	v := e.vars[i]
	e.buf[v.at+2+v.key], e.buf[v.at+3+v.key] = byte(v.size), byte(v.size>>8)
}

// claim returns the index of the variable that has the name, or -1 after having
// noted that there is one now.
func (e *Encoder) claim(key []byte) int {
	word, bit := slot(key)
	if e.seen[word]&bit != 0 {
		return e.find(key)
	}
	e.seen[word] |= bit
	return -1
}

// find returns the index of the variable that has the name, or -1.
func (e *Encoder) find(key []byte) int {
	for i := range e.vars {
		if e.vars[i].key == len(key) && bytes.Equal(e.key(i), key) {
			return i
		}
	}
	return -1
}

// slot picks the bit of Encoder.seen for a name. A clear bit spares the search;
// a set one only says that it is worth it.
func slot(key []byte) (word int, bit uint64) {
	n := len(key)
	if n == 0 {
		return 0, 1
	}
	h := uint(n)*37 ^ uint(key[n-1])*11 ^ uint(key[n/2])*5 ^ uint(key[n*3/4])
	return int(h>>6) & 3, 1 << (h & 63)
}

func (e *Encoder) key(i int) []byte {
	at := e.vars[i].at + 2
	return e.buf[at : at+e.vars[i].key]
}

// hides reports whether the pool's configuration keeps a variable back.
func (e *Encoder) hides(key string) bool {
	return len(e.con.hidden) > 0 && slices.Contains(e.con.hidden, key)
}

// sizeOf returns the bytes of a variable's value, 0 if there is none.
func (e *Encoder) sizeOf(key string) int {
	for i := range e.vars {
		if string(e.key(i)) == key {
			return e.vars[i].size
		}
	}
	return 0
}

// biggest returns the name and the size of the header field with the longest
// value, as a person would write it: "Cookie".
func (e *Encoder) biggest() (name string, size int) {
	at := -1
	for i, v := range e.vars {
		if v.header && (at < 0 || v.size > size) {
			at, size = i, v.size
		}
	}
	if at < 0 {
		return "", 0
	}
	return headerName(string(e.key(at))), size
}

// headerName turns HTTP_X_FOO into X-Foo.
func headerName(key string) string {
	words := strings.Split(strings.ToLower(strings.TrimPrefix(key, "HTTP_")), "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "-")
}
