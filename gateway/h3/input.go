package h3

import "io"

// input is what has been read of a stream and not been used yet.
type input struct {
	r     io.Reader
	buf   []byte
	begin int
	end   int
	err   error // what the stream has ended with
}

const (
	inputSize = 4 << 10 // the head of most requests, with the stream's end
	maxKept   = 16 << 10
)

func (in *input) reset(r io.Reader) {
	if cap(in.buf) == 0 || cap(in.buf) > maxKept {
		in.buf = make([]byte, inputSize)
	}
	*in = input{r: r, buf: in.buf[:cap(in.buf)]}
}

func (in *input) bytes() []byte { return in.buf[in.begin:in.end] }

// ended reports whether nothing more comes, and all has been used.
func (in *input) ended() bool { return in.begin == in.end && in.err == io.EOF }

// more reads something. The error is only of a read that brings nothing.
func (in *input) more() error {
	if in.err != nil {
		return in.err
	}
	if in.begin == in.end {
		in.begin, in.end = 0, 0
	} else if in.end == len(in.buf) {
		in.makeRoom()
	}
	n, err := in.r.Read(in.buf[in.end:])
	in.end += n
	if err == io.EOF { // anything else may be a timeout, after which it goes on
		in.err = err
	}
	if n > 0 {
		return nil
	}
	return err
}

func (in *input) makeRoom() {
	if in.begin > 0 {
		in.end = copy(in.buf, in.bytes())
		in.begin = 0
		return
	}
	buf := make([]byte, 2*len(in.buf))
	copy(buf, in.buf)
	in.buf = buf
}

// take reads until there are n bytes and takes them. They are valid until the next read.
func (in *input) take(n int) ([]byte, error) {
	for in.end-in.begin < n {
		if err := in.more(); err != nil {
			return nil, err
		}
	}
	b := in.bytes()[:n]
	in.begin += n
	return b, nil
}

// skip takes n bytes and forgets them.
func (in *input) skip(n uint64) error {
	for n > 0 {
		k := min(n, uint64(in.end-in.begin))
		in.begin += int(k)
		if n -= k; n > 0 {
			if err := in.more(); err != nil {
				return err
			}
		}
	}
	return nil
}

// frame reads type and length of the next frame. The error is io.EOF only if the
// stream ends before it begins.
func (in *input) frame() (kind, length uint64, err error) {
	for {
		b := in.bytes()
		if kind, k := readVarint(b); k > 0 {
			if length, n := readVarint(b[k:]); n > 0 {
				in.begin += k + n
				return kind, length, nil
			}
		}
		if err := in.more(); err != nil {
			if err == io.EOF && len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, 0, err
		}
	}
}
