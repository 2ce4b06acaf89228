// Package forwarded decides who the client of a request is and what it asked
// for, from the connection and from the fields that proxies add.
//
//	trust, err := forwarded.ParseTrust([]string{"10.0.0.0/8"})
//	r := forwarded.Resolve(trust, peer, tls, header, host)
//	log(r.Client, r.Scheme, r.Host)
//	send(r.For, r.Scheme, r.Host)   // what the worker gets in X-Forwarded-*
//
// A field is believed only from a peer that is trusted. X-Forwarded-For and
// Forwarded (RFC 7239) are read from their end, each hop believed as long as the
// one that wrote it is trusted: a client can add to the front only.
//
// Where a proxy sent any of X-Forwarded-For, -Proto and -Host, these are taken
// and Forwarded is not, because they are what the proxies in use maintain;
// Forwarded would let a client speak through a proxy that does not know it. So a
// trusted proxy must set or remove all three: what it lets through unchanged is
// the client's word.
//
// X-Forwarded-Proto and -Host have no hops. Of several values the last is taken,
// which the proxy next to us has written. Forwarded names them per hop: those of
// the farthest hop that is believed count, so TLS that ends at the first of two
// proxies is seen.
//
// Limits: 32 hops are looked at. A hop that is malformed, obfuscated or unknown
// ends the search at the one that wrote it. What is in front of it, well-formed
// or not, changes nothing.
package forwarded
