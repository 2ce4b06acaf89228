// Package certs decides which certificate a TLS or QUIC client is shown, and
// keeps those certificates fresh: files that are watched, and certificates that
// an [Issuer] makes, such as the local authority [CA].
//
//	store := certs.New(nil, log)
//	set, err := store.Build(ctx, options, hosts) // does the I/O, touches nothing that serves
//	if err != nil {
//		return err // the old set goes on serving
//	}
//	store.Swap(set)
//	go store.Run(ctx) // watches, renews, staples, rotates ticket keys
//	server := &http.Server{TLSConfig: store.TLSConfig()}
//
// Limits: no client certificates, no ACME. OCSP staples are fetched for
// certificates from files only.
//
// It follows RFC 5246 and RFC 8446 (TLS), RFC 6066 (server names, stapling),
// RFC 6960 (OCSP), RFC 6125 section 6.4.3 (wildcards stand for one label), and
// RFC 5077 section 5.5 (ticket keys that change).
package certs
