package compress_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"headgate/gateway/filter/compress"
	"headgate/gateway/wire"
)

// recorder is an answer in memory.
type recorder struct {
	status  int
	fields  wire.Fields
	length  int64
	body    bytes.Buffer
	flushed []int // where in body
	writes  int
	err     error // of Write and Flush
}

func (r *recorder) WriteHead(status int, f wire.Fields, length int64) {
	if r.status != 0 {
		panic("two heads")
	}
	r.status, r.fields, r.length = status, append(r.fields[:0], f...), length
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		panic("a body without a head")
	}
	if r.err != nil {
		return 0, r.err
	}
	r.writes++
	return r.body.Write(p)
}

func (r *recorder) Flush() error {
	if r.status == 0 {
		panic("nothing to flush")
	}
	r.flushed = append(r.flushed, r.body.Len())
	return r.err
}

// decode reads what coding made of it, and demands that nothing follows.
func decode(coding string, b []byte) ([]byte, error) {
	in := bytes.NewReader(b)
	var r io.Reader
	switch coding {
	case "":
		return b, nil
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		z.Multistream(false)
		r = z
	case "br":
		r = brotli.NewReader(in)
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	default:
		return nil, errors.New("coded as " + coding)
	}
	out, err := io.ReadAll(r)
	if err == nil && in.Len() > 0 {
		err = fmt.Errorf("%d bytes behind the end", in.Len())
	}
	return out, err
}

// corpus is some text.
var corpus = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	words := strings.Fields("the quick brown fox jumps over a lazy dog <p class=body> </p> &amp;")
	for b.Len() < 2<<20 {
		fmt.Fprintf(&b, "%s %x ", words[rand.IntN(len(words))], rand.IntN(1000))
	}
	return b.Bytes()
})

// text returns n bytes of it, from anywhere.
func text(n int) []byte {
	all := corpus()
	from := rand.IntN(len(all) - n)
	return all[from : from+n]
}

func compressor(t testing.TB, o compress.Options) *compress.Compressor {
	t.Helper()
	c, err := compress.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(method, accept string) *wire.Request {
	r := &wire.Request{Method: method, Target: "/", Major: 1, Minor: 1}
	if accept != "" {
		r.Fields.Add("Accept-Encoding", accept)
	}
	return r
}

// fields reads lines of a header.
func fields(lines ...string) (f wire.Fields) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		f.Add(name, value)
	}
	return f
}

// lines is a header as fields reads it.
func lines(f wire.Fields) (l []string) {
	for _, field := range f {
		l = append(l, field.Name+": "+field.Value)
	}
	return l
}

var everything = []string{"gzip", "br", "zstd"}

// discard is an answer that nobody reads.
type discard struct{}

func (discard) WriteHead(int, wire.Fields, int64) {}
func (discard) Write(p []byte) (int, error)       { return len(p), nil }
func (discard) Flush() error                      { return nil }
