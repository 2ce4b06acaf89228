package socket

import (
	"net"
	"sync"
)

// Batch gathers writes into fewer system calls. It goes between a Conn and a
// *tls.Conn, which makes a call for every record of 16 KiB, and of 1.4 KiB at the
// beginning of a connection. The writes of a Conn may go past it only when it
// holds nothing.
//
//	b := socket.NewBatch(c)
//	t := tls.Server(b, config)
//	b.Hold(buffer)
//	t.Write(body)
//	err := b.Release()
//
// The copy that it makes costs less than the calls that it saves from the second
// record on; what fits into one record is better written without it. All methods
// may be called by several goroutines at once.
type Batch struct {
	net.Conn
	below *Conn

	mu      sync.Mutex // guards the fields below, and the order of what is written
	holding bool
	held    []byte
	array   [2][]byte
	parts   net.Buffers
}

// NewBatch returns a Batch over c that holds nothing. To close it closes c.
func NewBatch(c *Conn) *Batch { return &Batch{Conn: c, below: c} }

// Hold makes writes be gathered until Release, as far as the capacity of buffer
// allows, which is the caller's again then. Not to be called again before Release.
func (b *Batch) Hold(buffer []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding, b.held = true, buffer[:0]
}

// Release writes what is held, and gathers no more. After an error the connection
// is of no use: part of a record may have been sent.
func (b *Batch) Release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := b.held
	b.holding, b.held = false, nil
	if len(held) == 0 {
		return nil
	}
	_, err := b.below.Write(held)
	return err
}

// Write implements net.Conn. With more than fits it sends what is held and p in
// one call; an error may belong to what was written before.
func (b *Batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.holding:
		return b.below.Write(p)
	case len(b.held)+len(p) <= cap(b.held):
		b.held = append(b.held, p...)
		return len(p), nil
	}
	b.array = [2][]byte{b.held, p}
	b.parts = b.array[:]
	n, err := b.below.WriteBuffers(&b.parts)
	n = max(n-int64(len(b.held)), 0)
	b.held, b.array = b.held[:0], [2][]byte{}
	return int(n), err
}
