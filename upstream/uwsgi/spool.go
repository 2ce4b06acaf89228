package uwsgi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

const (
	chunkBytes  = 32 << 10
	spoolMemory = 256 << 10
	spoolMax    = 100 << 20
)

// ErrBodyTooLarge is the error for a body above a Spooler's Max.
var ErrBodyTooLarge = errors.New("uwsgi: body is too large")

// SpoolError is the failure to take a body in.
type SpoolError struct {
	Op   SpoolOp
	Cure string // what an operator can do about it, or ""
	Err  error
}

// SpoolOp is what failed.
type SpoolOp uint8

// The steps of spooling.
const (
	SpoolRead  SpoolOp = iota + 1 // reading the body: the client's fault, or its connection's
	SpoolFile                     // making the file: ours
	SpoolWrite                    // writing the file, or reading it again: ours
)

// Error says in one line what failed, why and what helps.
func (e *SpoolError) Error() string {
	s := "spool: "
	switch e.Op {
	case SpoolRead:
		s += "read the body: "
	case SpoolFile:
		s += "make a temporary file: "
	case SpoolWrite:
		s += "write the temporary file: "
	}
	s += e.Err.Error()
	if e.Cure != "" {
		s += "; " + e.Cure
	}
	return s
}

// Unwrap returns the underlying error.
func (e *SpoolError) Unwrap() error { return e.Err }

// Spooler takes request bodies in, in memory first and then in a file that has
// no name and vanishes with the process. The zero value keeps up to 256 KiB in
// memory, takes bodies up to 100 MiB and makes its files in os.TempDir. It lends
// its memory from one body to the next, so one Spooler serves many requests. Its
// fields must not be changed after the first use; its methods are safe for
// concurrent use.
type Spooler struct {
	Memory int64  // bytes kept in memory; 0: 256 KiB, negative: none
	Max    int64  // largest body; 0: 100 MiB, negative: no limit
	Dir    string // for files; "": os.TempDir

	// Shared, if not nil, bounds the memory of all Spoolers that have it: a body
	// that finds it used up goes into its file at once.
	Shared *SpoolMemory

	chunks sync.Pool // of *chunk
}

// SpoolMemory is a bound on the memory that bodies are kept in. It is safe for
// concurrent use. Use NewSpoolMemory.
type SpoolMemory struct {
	max  int64
	used atomic.Int64
}

// NewSpoolMemory returns a bound of max bytes.
func NewSpoolMemory(max int64) *SpoolMemory { return &SpoolMemory{max: max} }

// Used returns the bytes in use.
func (m *SpoolMemory) Used() int64 { return m.used.Load() }

func (m *SpoolMemory) take(n int64) bool {
	if m == nil {
		return true
	}
	if m.used.Add(n) > m.max {
		m.used.Add(-n)
		return false
	}
	return true
}

func (m *SpoolMemory) give(n int64) {
	if m != nil {
		m.used.Add(-n)
	}
}

type chunk [chunkBytes]byte

// Read takes in all of r, which is size bytes long; -1 means that nobody knows.
// It blocks for as long as r does, so the caller bounds that. The error is
// ErrBodyTooLarge, wrapped, or a *SpoolError; a body that is shorter than size
// is a SpoolError of SpoolRead with io.ErrUnexpectedEOF. Of a longer one the
// first size bytes are taken. The caller closes the Spool.
func (s *Spooler) Read(r io.Reader, size int64) (*Spool, error) {
	if limit := s.max(); size > limit {
		return nil, fmt.Errorf("%w: %d bytes declared, %d allowed", ErrBodyTooLarge, size, limit)
	}
	b := &Spool{from: s}
	b.chunks = b.first[:0]
	if err := b.fill(r, size); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (s *Spooler) memory() int64 {
	switch {
	case s.Memory < 0:
		return 0
	case s.Memory == 0:
		return spoolMemory
	}
	return s.Memory
}

func (s *Spooler) max() int64 {
	switch {
	case s.Max < 0:
		return 1 << 62
	case s.Max == 0:
		return spoolMax
	}
	return s.Max
}

func (s *Spooler) dir() string {
	if s.Dir == "" {
		return os.TempDir()
	}
	return s.Dir
}

func (s *Spooler) get() *chunk {
	if c, ok := s.chunks.Get().(*chunk); ok {
		return c
	}
	return new(chunk)
}
