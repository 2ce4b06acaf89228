// Package h2 serves HTTP/2 (RFC 9113) on connections that somebody else has
// accepted: over TLS, or on clear text by prior knowledge.
//
//	s := h2.NewServer(log)
//	s.Configure(h2.Settings{MaxStreams: 128})
//	go s.ServeConn(c, sock, nil, handler)
//	defer s.Close()
//
// A connection has one goroutine of its own, the reader, which is the caller of
// ServeConn. Streams are served by goroutines that the Server keeps for them, and
// the last of several answers that become ready together writes all of them at
// once. A connection without streams holds no buffer and no other goroutine.
//
// Everything that a client can make the server keep or do is bounded: header
// lists, streams, handlers of streams that were reset, bodies, answers to control
// frames, and how much a client may send that leads to nothing (see budget).
// Server push, priorities and extended CONNECT are not offered; trailers of
// requests are read, checked and dropped.
package h2
