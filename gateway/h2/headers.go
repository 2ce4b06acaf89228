package h2

import (
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/net/http2/hpack"
)

// block is the header block that is being read.
type block struct {
	id        uint32 // 0: none is
	endStream bool
	held      []byte // of the block, while more is to come
	frames    int
	code      errCode // the stream is reset with it behind the block; codeNone: it is not
	fate      fate
	head      head
}

// fate is what becomes of a header block.
type fate uint8

const (
	fateRequest fate = iota
	fateTrailer
	fateDrop // it is decoded for the table's sake
)

// maxContinuations bounds the frames of one header block (CVE-2024-27316).
const maxContinuations = 64

func (c *conn) takeHeaders(h frameHeader, p []byte) error {
	if h.stream%2 == 0 { // 0 too
		return connError{codeProtocol, "HEADERS on a stream that a client cannot begin"}
	}
	p, err := unpad(h, p)
	if err != nil {
		return err
	}
	b := &c.block
	*b = block{id: h.stream, endStream: h.has(flagEndStream), head: head{crumbs: b.head.crumbs[:0]}}
	if h.has(flagPriority) {
		if len(p) < 5 {
			return connError{codeFrameSize, "HEADERS without room for its priority"}
		}
		if binary.BigEndian.Uint32(p)&maxID == h.stream { // it depends on itself
			b.code = codeProtocol
		}
		p = p[5:]
	}
	if err := c.openBlock(); err != nil {
		return err
	}
	return c.takeFragment(h, p)
}

// openBlock decides what the block is.
func (c *conn) openBlock() error {
	b := &c.block
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.findLocked(b.id)
	switch {
	case st == nil && b.id > c.lastID:
		return c.openRequestLocked()
	case st == nil && c.resets.has(b.id): // the client could not know
		b.fate = fateDrop
		return c.spendLocked(costNuisance)
	case st == nil:
		return connError{codeStreamClosed, "HEADERS on a stream that has ended"}
	case st.remoteEnd:
		b.fate, b.code = fateDrop, codeStreamClosed
	case !b.endStream:
		b.fate, b.code = fateDrop, codeProtocol
	default:
		b.fate = fateTrailer
	}
	return nil
}

func (c *conn) openRequestLocked() error {
	b := &c.block
	c.lastID = b.id
	if c.leaving == leavingDone { // its id is beyond what GOAWAY has said: the client sends it again elsewhere
		b.fate = fateDrop
		c.resets.add(b.id, c.maxOpen)
		return nil
	}
	c.taken = b.id
	b.fate = fateRequest
	s := c.srv.settings.Load()
	b.head.begin(c.srv.getStream(c), s)
	c.dec.SetMaxStringLength(2 * s.HeadBytes)
	return nil
}

func (c *conn) takeContinuation(h frameHeader, p []byte) error {
	if c.block.id == 0 {
		return connError{codeProtocol, "CONTINUATION without HEADERS"}
	}
	if c.block.frames++; c.block.frames > maxContinuations {
		return connError{codeCalm, "a header block of too many frames"}
	}
	if len(p) == 0 {
		if err := c.nuisance(); err != nil {
			return err
		}
	}
	return c.takeFragment(h, p)
}

// takeFragment takes a part of the block, and decodes and ends it with the last.
// The decoder gets it whole: what it holds of a part stays with the connection.
func (c *conn) takeFragment(h frameHeader, p []byte) error {
	b := &c.block
	if len(b.held)+len(p) > 2*c.srv.settings.Load().HeadBytes {
		return connError{codeCalm, "a header that is far too large"}
	}
	if b.frames > 0 || !h.has(flagEndHeaders) {
		b.held = append(b.held, p...)
		p = b.held
	}
	if !h.has(flagEndHeaders) {
		return nil
	}
	b.held = nil
	c.dec.SetEmitEnabled(b.fate != fateDrop)
	_, err := c.dec.Write(p)
	if err == nil {
		err = c.dec.Close()
	}
	if err != nil {
		return headerError(err)
	}
	return c.endBlock()
}

func headerError(err error) error {
	if errors.Is(err, hpack.ErrStringLength) {
		return connError{codeCalm, "a header field that is far too large"}
	}
	return connError{codeCompression, "a header block that cannot be decoded"}
}

// onField takes a field from the decoder.
func (c *conn) onField(f hpack.HeaderField) {
	b := &c.block
	switch b.fate {
	case fateRequest:
		b.head.add(f.Name, f.Value)
	case fateTrailer:
		b.head.addTrailer(f.Name, f.Value)
	}
	if b.head.big || b.head.bad { // the rest is for the table alone
		c.dec.SetEmitEnabled(false)
	}
}

// endBlock does what the whole block asks for.
func (c *conn) endBlock() error {
	b := &c.block
	id := b.id
	b.id = 0
	if b.head.bad && b.code == codeNone {
		b.code = codeProtocol
	}
	if b.fate == fateRequest {
		return c.endRequest(id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.code != codeNone {
		return c.breakLocked(id, b.code)
	}
	st := c.findLocked(id)
	if b.fate == fateDrop || st == nil || st.remoteEnd {
		return nil
	}
	if st.declared >= 0 && st.got != st.declared {
		return c.breakLocked(id, codeProtocol)
	}
	c.endRemoteLocked(st)
	return nil
}

// endRequest begins the stream of the request in the block, or resets it.
func (c *conn) endRequest(id uint32) error {
	b := &c.block
	st := b.head.st
	b.head.st = nil
	if b.code == codeNone && !b.head.finish(st, b.endStream) {
		b.code = codeProtocol
	}
	st.id = id
	if b.code == codeNone {
		return c.begin(st)
	}
	c.srv.putStream(st)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetLocked(id, b.code)
	c.replyLocked()
	return c.spendLocked(costReset)
}

// begin has a worker serve st, if it may.
func (c *conn) begin(st *stream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.streams) >= c.maxOpen || c.busy >= c.maxOpen || c.handlers >= 2*c.maxOpen {
		c.resetLocked(st.id, codeRefusedStream)
		c.replyLocked()
		c.srv.putStream(st)
		return c.spendLocked(costRefused)
	}
	if c.dead != nil {
		c.srv.putStream(st)
		return c.dead
	}
	c.handlers++
	c.busy++
	st.open = true
	st.window = c.newWin
	if st.remoteEnd {
		st.body.end(io.EOF)
	}
	st.recv = streamWindow
	c.streams = append(c.streams, st)
	if c.draining {
		c.drainLocked()
	}
	c.full = len(c.out) >= outBound
	c.srv.warm.Do(st)
	return nil
}
