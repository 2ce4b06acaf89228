package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"time"
)

const (
	ticketPeriod = 12 * time.Hour
	ticketKeys   = 3 // the first makes tickets, the others still open them
)

// tickets holds the session ticket keys of every tls.Config that the Store
// hands out. http.Server, http3.Server and quic-go serve clones of the config
// they are given, and SetSessionTicketKeys does not reach clones made before.
// So the keys live in a config that nobody clones, and the others reach them by
// WrapSession and UnwrapSession, which a clone keeps.
type tickets struct {
	holder tls.Config
	keys   [][32]byte // touched by newTickets and run only
}

func newTickets() *tickets {
	t := &tickets{}
	t.rotate()
	return t
}

// rotate makes a new first key and forgets the oldest.
func (t *tickets) rotate() {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	t.keys = append([][32]byte{key}, t.keys...)
	t.keys = t.keys[:min(len(t.keys), ticketKeys)]
	t.holder.SetSessionTicketKeys(t.keys)
}

// run rotates until ctx ends.
func (t *tickets) run(ctx context.Context) {
	tick := time.NewTicker(ticketPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.rotate()
		}
	}
}

// use makes c write and read tickets with these keys.
func (t *tickets) use(c *tls.Config) {
	c.WrapSession = t.holder.EncryptTicket
	c.UnwrapSession = t.holder.DecryptTicket
}
