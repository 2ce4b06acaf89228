package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// hearing listens to the questions and replies of one look-up.
type hearing struct {
	ctx  context.Context // of the look-up: its end closes the connections
	next func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex // guards heard
	heard map[question]reply
}

// question is what a server was asked for: the whole name in lower case, and the type.
type question struct {
	name string
	kind dnsmessage.Type
}

// reply is the last one to a question.
type reply struct {
	verdict verdict
	ttl     time.Duration // of an answer with records
}

// verdict is what a reply means. The zero value: none came, or a failure.
type verdict uint8

const (
	failed  verdict = iota
	missing         // there is no such name
	empty           // the name is there and has no record of the type
	full            // there are records of the type
)

// resolver returns a resolver to which h listens.
func (h *hearing) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: h.dial}
}

// dial connects to a DNS server until h.ctx ends, which closes the connection.
func (h *hearing) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	c, err := h.next(ctx, network, address)
	if err != nil {
		return nil, err
	}
	t := &tap{Conn: c, hearing: h, stop: context.AfterFunc(h.ctx, func() { _ = c.Close() })}
	if p, ok := c.(net.PacketConn); ok {
		return packetTap{tap: t, packets: p}, nil
	}
	t.stream = true
	return t, nil
}

func (h *hearing) note(q question, r reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard[q] = r
}

// judge returns what the error of a look-up means: err itself unless it says that
// there is no such host, and ErrNoName if that is what the servers said.
func (h *hearing) judge(name string, err error) error {
	if h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	var dnsErr *net.DNSError
	if err == nil || !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
		return err
	}
	if _, err := h.sure(name, false); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrNoName, name)
}

// sure returns how long the records hold that were found, NoTTL for those that no
// server named. It fails when the look-up would have found others, had all
// servers answered. With any it does not matter whether the name with the
// records was answered for in every type: A records are enough.
func (h *hearing) sure(name string, enough bool) (time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	final, ttl := h.finalLocked()
	for q, r := range h.heard {
		switch {
		case r.verdict != failed || enough && q.name == final:
		case h.missingLocked(q.name):
		default:
			return 0, fmt.Errorf("no server answered for the %s records of %s, as %s", q.kind.String()[len("Type"):], q.name, name)
		}
	}
	return ttl, nil
}

// finalLocked returns the name of the search list that had records, and how long
// they hold: the A records if there are any.
func (h *hearing) finalLocked() (string, time.Duration) {
	final, ttl, kind := "", NoTTL, dnsmessage.Type(0)
	for q, r := range h.heard {
		if r.verdict == full && kind != dnsmessage.TypeA {
			final, ttl, kind = q.name, r.ttl, q.kind
		}
	}
	return final, ttl
}

// missingLocked reports whether a reply to any question said that name does not exist.
func (h *hearing) missingLocked(name string) bool {
	for q, r := range h.heard {
		if q.name == name && r.verdict == missing {
			return true
		}
	}
	return false
}
