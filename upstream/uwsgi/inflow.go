package uwsgi

import "sync"

const (
	inflowBytes = 16 << 10
	sendBytes   = 32 << 10
	aheadBytes  = 16 << 10 // of a request's body that goes with its variables
	keepFields  = 64
)

// buffer is memory that is used again.
type buffer struct {
	b      []byte
	fields []Field // of the heads of one exchange
}

// inflow is what has come from the member and was not consumed yet: bytes r to
// w of a buffer that grows while a head is read.
type inflow struct {
	buf  *buffer // nil before the first read, and behind the last
	r, w int
}

func (in *inflow) bytes() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf.b[in.r:in.w]
}

func (in *inflow) len() int { return in.w - in.r }

// space returns where to read to, behind what is there.
func (in *inflow) space() []byte {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	if in.w == len(in.buf.b) {
		in.room()
	}
	return in.buf.b[in.w:]
}

// room makes space by moving what is there to the front, or by doubling.
func (in *inflow) room() {
	if in.r > 0 {
		in.w = copy(in.buf.b, in.buf.b[in.r:in.w])
		in.r = 0
		return
	}
	larger := make([]byte, 2*len(in.buf.b))
	copy(larger, in.buf.b)
	in.buf.b = larger
}

// buffers hands out the memory of exchanges.
type buffers struct{ in, out sync.Pool }

func (p *buffers) takeIn() *buffer {
	if b, ok := p.in.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, inflowBytes)}
}

// putIn takes the memory of in back, if it has any, unless a large head made it grow.
func (p *buffers) putIn(in *inflow) {
	b := in.buf
	in.buf = nil
	if b == nil || len(b.b) != inflowBytes || cap(b.fields) > keepFields {
		return
	}
	clear(b.fields) // it holds on to the heads
	b.fields = b.fields[:0]
	p.in.Put(b)
}

func (p *buffers) takeOut() *buffer {
	if b, ok := p.out.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, sendBytes)}
}

func (p *buffers) putOut(b *buffer) { p.out.Put(b) }
