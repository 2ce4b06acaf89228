// Package subscribe is a subscription server for uWSGI: instances announce by
// datagrams (--subscribe2) which host names they serve and where, and are members as
// long as they go on doing so. It follows uWSGI 2.0.21's packets, and is stricter than
// its routers in whom it believes.
//
//	s := subscribe.New(subscribe.Setup{Log: log, Probe: ping})
//	l, err := s.Open(o)
//	s.Use(o, l)
//	go s.Source().Run(ctx, pools.Set)
//	err = s.Run(ctx)
//
// # What is believed
//
// A node is a host name and an address. The host name is the key without its port, in
// lower case; ".example.com" is for all names below. The address is that of the
// worker's socket: a host that is missing, 0.0.0.0 and [::] are the machine that the
// datagram came from; names, relative paths and abstract sockets are refused. Rules say
// which senders may announce what; over a unix socket the kernel names them. Who may
// not announce a node may not take it away, and without a signature only the source
// that announced it last may.
//
// # Signatures
//
// They are uWSGI's: over what is between the header and the pair sign, with RSA
// (PKCS #1, v1.5) or ECDSA. As the header is not signed, a subscription can be turned
// into its opposite by whoever has seen it. So the time in a packet has to be later
// than in all others of its node, of both kinds, whether they were of one that is there
// or that was within two windows; and within the window of the clock here. Nor is it
// signed where a datagram comes from: the address of a signed one has to have its host.
// What was announced before the start of the server is not known: packets of the window
// before can be replayed until the node is heard of.
//
// uWSGI gives an unsubscription the time of the next second. One that is stopped and
// started again within it (a brutal reload) is refused until its clock has passed
// that, which at worst costs one subscribe-freq. A graceful reload does not
// unsubscribe.
//
// # Readiness
//
// uWSGI announces itself before its application is loaded. A node is named by sources
// when its probe has passed; from then on the pool's own checks look after it.
//
// # Limits
//
// Packets have at most 4096 bytes; there are 10000 keys, 1000 nodes of a key and
// 100000 in all; 64 probes run at once, and 2000 signatures are verified in a second.
// What is beyond is refused, counted, and told to the log once in a while.
package subscribe
