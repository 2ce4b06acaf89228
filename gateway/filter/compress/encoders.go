package compress

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// MaxMemory is how much all encoders of an Encoders that are in use may take, and as
// much those that wait to be used again.
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
	kept    atomic.Int64 // bytes of idle
	idle    [3][3]idle
	pools   [3][3]sync.Pool // what does not fit into idle
	buffers sync.Pool       // of *buffer
}

// idle keeps as many encoders as run at once, whatever the collector does: a pool
// alone loses its encoders with every second collection, and to make one costs several
// times as much as to use it, in memory that brings the next collection about.
type idle struct {
	mu   sync.Mutex // guards the field below
	kept []*encoder
}

func (i *idle) take() *encoder {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.kept) - 1
	if n < 0 {
		return nil
	}
	enc := i.kept[n]
	i.kept = i.kept[:n]
	return enc
}

// give reports whether there was room.
func (i *idle) give(enc *encoder) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.kept) >= runtime.GOMAXPROCS(0) {
		return false
	}
	i.kept = append(i.kept, enc)
	return true
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

// memory is what an encoder takes at most, measured. A test measures it again.
func (k kind) memory() int64 {
	kib := [3][3]int64{
		ofGzip: {800, 1184, 1056},
		ofBr:   {2200, 2042, 4516},
		ofZstd: {810, 870, 2580},
	}
	return kib[k.coding][k.level] << 10
}

// take returns an encoder, or nil if there are too many.
func (e *Encoders) take(k kind) *encoder {
	if n := k.memory(); e.inUse.Add(n) > MaxMemory {
		e.inUse.Add(-n)
		return nil
	}
	if enc := e.idle[k.coding][k.level].take(); enc != nil {
		e.kept.Add(-k.memory())
		return enc
	}
	if enc, ok := e.pools[k.coding][k.level].Get().(*encoder); ok {
		return enc
	}
	return newEncoder(k)
}

// give takes enc back, in whatever state it is.
func (e *Encoders) give(enc *encoder) {
	k := enc.kind
	enc.to = nil
	if e.kept.Add(k.memory()) > MaxMemory || !e.idle[k.coding][k.level].give(enc) {
		e.kept.Add(-k.memory())
		e.pools[k.coding][k.level].Put(enc)
	}
	e.inUse.Add(-k.memory())
}

// The levels of a coding are chosen by what a gateway under load spends on pages of 20
// KiB, where tables are found in memory and not in the processor's cache: default takes
// about as long as nginx's gzip (zlib, level 1) for gzip and zstd, and twice that for br;
// for gzip it is the same as fast, since 2 % of the size would cost half as much again; best takes two to three times as long as default for a few percent.
func newEncoder(k kind) *encoder {
	enc := &encoder{kind: k}
	switch k.coding {
	case ofGzip:
		w, err := gzip.NewWriterLevel(nil, [3]int{1, 1, 6}[k.level])
		if err != nil {
			panic("compress: " + err.Error())
		}
		enc.gzip, enc.codec = w, w
	case ofBr:
		enc.codec = brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: [3]int{1, 2, 5}[k.level], LGWin: 18})
	default:
		w, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel([3]zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedFastest, zstd.SpeedDefault}[k.level]),
			zstd.WithWindowSize([3]int{64 << 10, 128 << 10, 512 << 10}[k.level]),
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
