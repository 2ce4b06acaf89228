// Package acme gets certificates from ACME authorities such as Let's Encrypt.
//
//	issuer, err := acme.New(certs.Authority{
//		Name: "acme", Email: "ops@example.com", Options: options.ACME,
//		Storage: storage, Challenges: challenges, Log: log,
//	})
//	if err != nil {
//		return err
//	}
//	issued, err := issuer.Obtain(ctx, certs.Order{Names: []string{"shop.example.com"}, Key: key})
//
// By asking for a certificate the operator agrees to the terms of service of the
// authority. There is one account for each directory, e-mail address and external
// account; gateways with the same storage share it, and a lost answer, a crash or
// an authority that was reset loses none: the key is in the storage before the
// authority hears of it.
//
// Challenges are tried in the order of the configuration, one type for a whole
// order, so that what happens is what is written there. Answers to http-01 and
// tls-alpn-01 are put into [certs.Challenges] and given by whichever gateway the
// authority meets.
//
// Limits: an order's time is bounded by the caller's context alone; when it ends,
// answers to challenges are still taken away, for at most 30 seconds each. Accounts
// are not closed and their keys are not changed. Another e-mail address is another
// account, unless it differs by its capitals alone.
//
// It follows RFC 8555 (ACME), RFC 8737 (tls-alpn-01), RFC 8738 (IP addresses), RFC
// 9773 (renewal information) and draft-aaron-acme-profiles.
package acme
