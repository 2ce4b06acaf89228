// Package dns is an upstream.Source: it looks names up again and again, so that a
// container that moved is found without a reload.
//
//	s := dns.New(dns.Setup{Pool: "shop", Names: []upstream.Member{{Address: "app:3031"}}, Log: log})
//	go s.Run(ctx, pools.Set)
//	s.Refresh() // a member cannot be connected to: look again now
//
// # Names
//
// "app:3031" is a host name and a port. Its A records are its addresses; AAAA
// records only if it has no A, because a name with both is one server twice, and
// twice its slots would be handed out. "srv:_uwsgi._tcp.example.com" is an SRV name
// (RFC 2782): ports and weights come from the records, those with the lowest
// priority number are ordinary members and all others are backups, and the
// targets are looked up in turn.
//
// The hosts file, resolv.conf with its search list and ndots, and the order of both
// are read as package net does. Only its DNS messages are listened to, for two
// things that it does not tell: how long an answer holds, and whether "no such
// host" is what a server said or what was left after a server failed (a name of
// the search list that does not exist hides that the one before it was never
// answered for).
//
// # When
//
// A name is asked for again when the TTL of its answer ends, not before 1 s and
// not after max_ttl, 30 s. The upper bound is for Docker, which answers 600 s for a
// container that is gone in one. A name of the hosts file has no TTL and is read
// again after 5 s, for which package net keeps the file anyway. A look-up that
// failed is repeated after 1 s, doubling to 30 s; if a server said that there is
// no such name, to 5 s, since such an answer costs nobody much and whoever waits
// for a container to start waits for this one. Refresh does not wait for any of
// it, but names are never asked for twice within a second. One look-up may take
// 15 s: package net gives every server of resolv.conf 5 s, and the second must
// still be heard of when the first is dead.
//
// # The last word
//
// While a server fails or is silent, a name keeps the addresses that it had, for as
// long as it takes. So it does when a server says that there is no such name, but
// for 60 s: a container that is being made anew has no record for some
// seconds, and its old address harms nobody, because nothing answers there and
// the requests wait; later the address may belong to somebody else. Targets of SRV
// records keep their last addresses too while servers fail.
//
// # Limits
//
// A name has at most 256 addresses; of more the first in their order are used, so
// that they are always the same. The unspecified address and multicast are left
// out: 0.0.0.0 is how filters say no, and the kernel would connect to this machine.
// A server that answers with another choice of its addresses each time makes
// members come and go. DNS answers are believed: whoever can forge them decides
// where requests go. DNSSEC, DNS over TLS and the TTL of negative answers are not
// looked at.
package dns
