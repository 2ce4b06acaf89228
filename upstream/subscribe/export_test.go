package subscribe

import (
	"net/netip"
	"time"
)

type Packet = packet

var (
	Decode  = decode
	HostKey = hostKey
)

// Sender is who sends a packet that Handle takes.
type Sender = sender

func FromIP(ip string) Sender { return sender{ip: netip.MustParseAddr(ip)} }

func FromUser(uid, pid uint32) Sender { return sender{named: true, uid: uid, pid: pid} }

// Complete returns an address as a member's.
func Complete(address string, from Sender) (string, error) {
	e, err := complete(address, from)
	if err != nil {
		return "", err
	}
	return e.String(), nil
}

// Handle takes a datagram as if it came by a socket.
func (s *Server) Handle(b []byte, from Sender) { s.handle(b, from) }

// Told returns for how many complaints there is memory.
func (s *Server) Told() int {
	s.refusals.mu.Lock()
	defer s.refusals.mu.Unlock()
	return len(s.refusals.recent)
}

// UseDeaf is Use without sockets: in a synctest bubble none may be read. Packets come
// by Handle.
func (s *Server) UseDeaf(o Options) error {
	rules, err := compile(o.Allow)
	if err != nil {
		return err
	}
	keyring, err := newKeyring(o.Sign)
	if err != nil {
		return err
	}
	s.Use(o, &Listening{options: o.WithDefaults(), rules: rules, keyring: keyring})
	return nil
}

// Verifier returns what verifies signatures, without a limit.
func Verifier(o Sign) func(key string, p Packet) error {
	k, err := newKeyring(o)
	if err != nil {
		panic(err)
	}
	return func(key string, p Packet) error { return k.verify(key, p.Signed, p.Sign, time.Now()) }
}

// Knows reports whether there is a member for a host: by its own key, or by one for
// all names above it.
func (s *Server) Knows(host string) bool {
	key, err := hostKey(host)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return lookups(key, s.table.serves)
}
