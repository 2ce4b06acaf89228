// Package certs decides which certificate a TLS or QUIC client is shown, and
// keeps those certificates fresh: files that are watched, and certificates that
// an [Issuer] makes, such as the local authority [CA] or an ACME authority.
//
//	store := certs.New(certs.Setup{Storage: open, ACME: acme, Log: log})
//	set, err := store.Build(ctx, plan) // does the I/O, touches nothing that serves
//	if err != nil {
//		return err // the old set goes on serving
//	}
//	store.Swap(set)
//	go store.Run(ctx) // obtains, renews, watches, staples, rotates ticket keys
//	server := &http.Server{TLSConfig: store.TLSConfig()}
//
// # The life of an issued certificate
//
// Every name that a site lists is a subject with one managed certificate for each
// kind of key. Whoever first wants it, the loop at the start or a handshake, takes
// what is in the storage; if that is missing, or due, it takes the lock of the name
// (one gateway of several gets it), writes the key, and asks the authorities in
// order. What they make is served at once, stored, and announced in a journal that
// other gateways read every other second. After a failure the old certificate goes
// on serving, expired or not, and the next try waits: seconds and then minutes when
// the authority cannot be reached, minutes and then an hour when it says no.
//
// A name that no site lists is let in only by a question, is ordered within a rate,
// and everything that is remembered of such names is bounded.
//
// # Limits
//
// An order is for one name. Keys are made here; there are no hardware keys.
//
// It follows RFC 5246 and RFC 8446 (TLS), RFC 6066 (server names, stapling),
// RFC 6960 (OCSP), RFC 6125 section 6.4.3 (wildcards stand for one label),
// RFC 5077 section 5.5 (ticket keys that change), RFC 8737 and RFC 8555 section 8
// (answers to challenges), RFC 9773 (time of renewal) and RFC 9849 (ECH).
package certs
