// Package forwarded decides who the client of a request is and what it asked
// for, from the connection and from the fields that proxies add.
//
//	trust, err := forwarded.ParseTrust([]string{"10.0.0.0/8"})
//	r := forwarded.Resolve(trust, peer, tls, header, host)
//	log(r.Client, r.Scheme, r.Host)
//	send(r.For, r.Scheme, r.Host)   // what the worker gets in X-Forwarded-*
//
// A field is believed only from a peer that is trusted. X-Forwarded-For and
// RFC 7239's Forwarded are read from their end, each hop believed as long as the
// one that wrote it is trusted: a client can add to the front only. Where a proxy
// sent both kinds, X-Forwarded-* are taken, because that is what the proxies in
// use maintain; Forwarded would let a client speak through one that does not
// know it.
//
// Limits: 32 hops are looked at. Obfuscated and unknown nodes end the search.
package forwarded
