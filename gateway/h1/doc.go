// Package h1 speaks HTTP/1.1 and HTTP/1.0 (RFC 9110, RFC 9112) on connections
// that somebody else has accepted: one goroutine per connection, which parses in
// place and calls the Handler itself.
//
//	s := h1.NewServer(log)
//	s.Configure(h1.Settings{HeadBytes: 64 << 10, Fields: 100, HeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute})
//	sock := socket.New(accepted, hangups)
//	s.ServeConn(sock, sock, nil, handler) // until the connection has ended
//	s.Shutdown(ctx)
//
// A request costs one allocation, the string of its head. A connection that waits
// for its next request holds no buffer.
//
// It is strict: lines end in CRLF, nothing is unfolded, a field has no space
// before its colon and no control bytes, a request of 1.1 has one Host, an
// authority in the target is that of Host, the length of a body is said once and
// in one way, a chunk has no space around its size. What is wrong but can be
// answered reaches the Handler as a Refusal, and the connection ends with the
// answer. Up to two empty lines before a request are skipped (RFC 9112, 2.2).
//
// A client that does not finish its head in time is not answered: its connection
// closes, as nginx and net/http do it. Any Expect but 100-continue is ignored, as
// nginx does it. Trailers are read, checked and dropped. A client that ends its
// sending half is one that has gone, for a Handler that waits for its Context.
package h1
