// Package h3 speaks HTTP/3 (RFC 9114) on QUIC connections and hands the requests
// to a wire.Handler. QUIC itself is that of quic-go, which nothing else of ours
// imports; the layer above it is our own, because http3's costs a map of the
// header, an *http.Request and some thirty allocations for every request.
//
//	s := h3.NewServer(h3.Setup{Log: log, TLS: conf, Handler: newHandler})
//	s.Configure(h3.Settings{HeadBytes: 64 << 10})
//	err := s.Listen(":443") // clients can connect, and wait
//	s.Start()               // and now they are served
//	...
//	s.StopAccepting()
//	s.Shutdown(ctx) // says GOAWAY and lets requests end
//	s.Close()
//
// Limits: QPACK (RFC 9204) has no dynamic table here, on either side, so that a
// client can neither block a stream nor make us remember anything. There is no
// push, no CONNECT, no datagrams and no early data (a replay must not reach a
// worker). Trailers of requests are checked and dropped. Priorities (RFC 9218)
// are those that a client sends with the request or later.
package h3
