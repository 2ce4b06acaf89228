package subscribe

import (
	"fmt"
	"net/netip"
)

// sender is who has sent a datagram. Senders are compared; see also sameAs.
type sender struct {
	ip netip.Addr // over udp; not valid: over a unix socket

	named    bool // the kernel has said who it is
	uid, pid uint32
}

func (s sender) isUnix() bool { return !s.ip.IsValid() }

// sameAs reports whether what one has announced is the other's as well.
func (s sender) sameAs(o sender) bool {
	return s.ip == o.ip && s.named == o.named && s.uid == o.uid
}

// source is s without what changes from one process to another.
func (s sender) source() sender {
	s.pid = 0
	return s
}

// String is how logs and snapshots name it.
func (s sender) String() string {
	switch {
	case s.ip.IsValid():
		return s.ip.String()
	case s.named && s.pid != 0:
		return fmt.Sprintf("uid %d pid %d", s.uid, s.pid)
	case s.named:
		return fmt.Sprintf("uid %d", s.uid)
	}
	return "unix"
}
