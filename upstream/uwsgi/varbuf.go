package uwsgi

import (
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
	word, bit := slot(key)
	if e.seen[word]&bit != 0 && find(e, key) >= 0 {
		return
	}
	e.seen[word] |= bit
	at := len(e.buf)
	e.buf = append(e.buf, byte(len(key)), byte(len(key)>>8))
	e.buf = append(e.buf, key...)
	e.finish(at, value, false)
}

// set is put for a known name.
func set[S ~string | ~[]byte](e *Encoder, k *known, value S) {
	if e.seen[k.word]&k.bit != 0 && find(e, k.name) >= 0 {
		return
	}
	e.seen[k.word] |= k.bit
	at, key := len(e.buf), 2+len(k.name)
	n := key + 2 + len(value)
	if e.over || e.need+n > MaxVarsBytes {
		e.buf = append(e.buf, k.sent[:key]...)
		e.finish(at, string(value), false)
		return
	}
	e.need += n
	e.vars = append(e.vars, varPos{at: at, key: key - 2, size: len(value)})
	b := slices.Grow(e.buf, knownBytes+n)[:at+n+knownBytes]
	e.buf = b[:at+n]
	*(*[knownBytes]byte)(b[at:]) = k.sent
	b = b[at+key:]
	b[0], b[1] = byte(len(value)), byte(len(value)>>8)
	copy(b[2:], value)
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

// find returns the index of the variable that has the name, or -1.
func find[S ~string | ~[]byte](e *Encoder, key S) int {
	for i := range e.vars {
		if e.vars[i].key == len(key) && string(e.key(i)) == string(key) {
			return i
		}
	}
	return -1
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
