// Package pebbletest runs a real ACME authority for tests: Pebble, in strict
// mode and with random rejection of nonces, a DNS server that Pebble asks, and a
// proxy in front of Pebble that counts requests and makes faults.
//
//	ca := pebbletest.Start(t, pebbletest.Options{})
//	o := certs.ACMEOptions{Directory: ca.Directory, Roots: ca.RootsFile}
//	// answer http-01 on 127.0.0.1:ca.HTTPPort, tls-alpn-01 on 127.0.0.1:ca.TLSPort
//	ca.SetA("shop.example.com", "127.0.0.1") // as every name by default
//	ca.Fault(func(r pebbletest.Request) *pebbletest.Answer { ... })
//	leaf.Verify(x509.VerifyOptions{Roots: ca.Root(), ...})
//
// Everything is on loopback and ends with the test. Pebble keeps its state in
// memory alone: [CA.Restart] gives an authority that knows neither accounts nor
// orders any more, and that has other roots.
//
// Pebble is built by the go command from the tool lines of go.mod and kept in the
// build cache. HEADGATE_TEST_PEBBLE names a binary to run instead; the DNS server
// is looked for beside it as pebble-challtestsrv. Where neither can be had, the
// test is skipped, or fails when CI is set.
package pebbletest
