// Package proxyproto reads the header that a proxy sends ahead of a connection to
// tell who has connected to it: the PROXY protocol of HAProxy, versions 1 and 2
// (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).
//
//	h, err := proxyproto.Read(conn) // with a deadline of the caller's
//	if err != nil {
//		return err // who has connected is no such proxy
//	}
//	client := h.Source // unless h.Local: then it is who has connected
//
// Read takes no byte that is behind the header, so the connection goes on as if there
// had been none. A header may come in pieces.
//
// Limits: 107 bytes of version 1, and 16 and 4096 of version 2. Of what version 2 may
// add, the checksum is checked; what a proxy says of TLS is not believed.
package proxyproto
