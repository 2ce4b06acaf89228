package compress

import (
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// MaxMemory is how much all encoders of an Encoders that are in use may take.
const MaxMemory = 128 << 20

// Names of the codings.
const (
	gzipName = "gzip"
	brName   = "br"
	zstdName = "zstd"
)

// Encoders recycles encoders and bounds how many there are. The zero value is ready;
// it may be used by several Compressors and goroutines at once.
type Encoders struct {
	inUse   atomic.Int64 // bytes
	pools   [3][3]sync.Pool
	buffers sync.Pool // of *buffer
}

// bufferSize is how much of a coded form is gathered before it is sent: a record of
// TLS and a frame of HTTP/2.
const bufferSize = 16 << 10

type buffer [bufferSize]byte

func (e *Encoders) getBuffer() *buffer {
	if b, ok := e.buffers.Get().(*buffer); ok {
		return b
	}
	return new(buffer)
}

// kind is one row and column of the pools.
type kind struct{ coding, level int }

const (
	ofGzip = iota
	ofBr
	ofZstd
)

func kindOf(name string, level int) kind {
	switch name {
	case gzipName:
		return kind{ofGzip, level}
	case brName:
		return kind{ofBr, level}
	}
	return kind{ofZstd, level}
}

// memory is what an encoder takes at most, measured.
func (k kind) memory() int64 {
	kib := [3][3]int64{
		ofGzip: {800, 1056, 992},
		ofBr:   {2042, 2953, 4516},
		ofZstd: {795, 1882, 5003},
	}
	return kib[k.coding][k.level] << 10
}

// take returns an encoder, or nil if there are too many.
func (e *Encoders) take(k kind) *encoder {
	if n := k.memory(); e.inUse.Add(n) > MaxMemory {
		e.inUse.Add(-n)
		return nil
	}
	if enc, ok := e.pools[k.coding][k.level].Get().(*encoder); ok {
		return enc
	}
	return newEncoder(k)
}

// give takes enc back, in whatever state it is.
func (e *Encoders) give(enc *encoder) {
	enc.to = nil
	e.pools[enc.kind.coding][enc.kind.level].Put(enc)
	e.inUse.Add(-enc.kind.memory())
}

// The levels of a coding are chosen by measuring pages of 20 to 50 KiB: default
// takes not longer than zlib's level 1 for gzip and zstd, and three times that for
// br; best is where more time gains next to nothing.
func newEncoder(k kind) *encoder {
	enc := &encoder{kind: k}
	switch k.coding {
	case ofGzip:
		w, err := gzip.NewWriterLevel(nil, [3]int{1, 5, 8}[k.level])
		if err != nil {
			panic("compress: " + err.Error())
		}
		enc.gzip, enc.codec = w, w
	case ofBr:
		enc.codec = brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: [3]int{2, 4, 6}[k.level], LGWin: 18})
	default:
		w, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel([3]zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression}[k.level]),
			zstd.WithWindowSize([3]int{256 << 10, 256 << 10, 512 << 10}[k.level]),
			zstd.WithEncoderConcurrency(1), // no goroutines: one that is dropped needs no Close
			zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderCRC(false),
			zstd.WithZeroFrames(true))
		if err != nil {
			panic("compress: " + err.Error())
		}
		enc.codec = w
	}
	return enc
}
