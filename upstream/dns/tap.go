package dns

import (
	"encoding/binary"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// tap is a connection to a DNS server with one question and one reply, which it
// tells to a hearing. It is used by one goroutine.
type tap struct {
	net.Conn
	hearing *hearing
	stop    func() bool // the hearing's end no longer closes the connection
	stream  bool        // messages have their length before them

	id    uint16
	asked question
	read  []byte // of a stream: what has come so far
}

// packetTap is a tap that package net takes for a packet connection, and so puts no
// lengths before the messages.
type packetTap struct {
	*tap
	packets net.PacketConn // the same connection
}

// ReadFrom implements net.PacketConn. Package net does not call it.
func (t packetTap) ReadFrom(b []byte) (int, net.Addr, error) { return t.packets.ReadFrom(b) }

// WriteTo implements net.PacketConn. Package net does not call it.
func (t packetTap) WriteTo(b []byte, a net.Addr) (int, error) { return t.packets.WriteTo(b, a) }

// Close closes the connection.
func (t *tap) Close() error {
	t.stop()
	return t.Conn.Close()
}

// Write sends a question, which package net writes at once.
func (t *tap) Write(b []byte) (int, error) {
	msg := b
	if t.stream && len(b) > 2 {
		msg = b[2:]
	}
	var p dnsmessage.Parser
	if h, err := p.Start(msg); err == nil {
		if q, err := p.Question(); err == nil {
			t.id, t.asked = h.ID, questionOf(q)
			t.hearing.note(t.asked, reply{})
		}
	}
	return t.Conn.Write(b)
}

// Read reads a reply or a part of it.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if !t.stream {
		t.hear(b[:n])
		return n, err
	}
	t.read = append(t.read, b[:n]...)
	if len(t.read) >= 2 {
		if size := int(binary.BigEndian.Uint16(t.read)); len(t.read) == 2+size {
			t.hear(t.read[2:])
		}
	}
	return n, err
}

// hear notes a reply to the question that was asked. Others may be forged, and
// package net waits on.
func (t *tap) hear(msg []byte) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != t.id {
		return
	}
	q, err := p.Question()
	if err != nil || questionOf(q) != t.asked || q.Class != dnsmessage.ClassINET {
		return
	}
	if h.Truncated && !t.stream {
		return // it is asked for again over TCP
	}
	t.hearing.note(t.asked, readReply(msg, t.asked.kind))
}

func questionOf(q dnsmessage.Question) question {
	return question{name: strings.ToLower(q.Name.String()), kind: q.Type}
}

// readReply says what a reply means, as package net sees it. One whose answers
// cannot be read is a failure.
func readReply(msg []byte, kind dnsmessage.Type) reply {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || p.SkipAllQuestions() != nil {
		return reply{}
	}
	records, ttl, err := readAnswers(&p, kind)
	code, additional := readAdditionals(p, h.RCode)
	switch {
	case code == dnsmessage.RCodeNameError:
		return reply{verdict: missing}
	case err != nil || code != dnsmessage.RCodeSuccess:
		return reply{}
	case records > 0:
		return reply{verdict: full, ttl: ttl}
	case ttl == NoTTL && !h.Authoritative && !h.RecursionAvailable && !additional:
		return reply{} // "ask somebody else"
	}
	return reply{verdict: empty}
}

// readAnswers returns how many records of a type there are, and the smallest TTL
// in the section: aliases on the way matter too. NoTTL: the section is empty.
func readAnswers(p *dnsmessage.Parser, kind dnsmessage.Type) (records int, ttl time.Duration, err error) {
	ttl = NoTTL
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			return records, ttl, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if t := seconds(h.TTL); ttl == NoTTL || t < ttl {
			ttl = t
		}
		if h.Type == kind {
			records++
		}
		if err := p.SkipAnswer(); err != nil {
			return 0, 0, err
		}
	}
}

// seconds reads a TTL: with the highest bit set it is zero (RFC 2181, section 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// readAdditionals returns the whole response code (RFC 6891, section 6.1.3) and
// whether there are additional records, as far as they can be read.
func readAdditionals(p dnsmessage.Parser, code dnsmessage.RCode) (_ dnsmessage.RCode, some bool) {
	_ = p.SkipAllAnswers()
	_ = p.SkipAllAuthorities()
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return code, some
		}
		some = true
		if h.Type == dnsmessage.TypeOPT {
			return h.ExtendedRCode(code), true
		}
		if p.SkipAdditional() != nil {
			return code, true
		}
	}
}
