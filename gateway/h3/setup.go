package h3

import (
	"crypto/tls"
	"log/slog"
	"net/netip"

	"headgate/gateway/wire"
)

// Setup is what a Server works with. It does not change.
type Setup struct {
	Log *slog.Logger // for what clients do wrong, at debug; nil is silent

	// TLS is what handshakes are made with. Its protocols are replaced by h3,
	// also those of what its GetConfigForClient returns.
	TLS *tls.Config

	// Handler returns what answers the requests of one connection. It is called
	// once for each, when its handshake is done.
	Handler func(ConnInfo) wire.Handler
}

// ConnInfo is what is known of a connection. It does not change when the client
// moves to another address (RFC 9000, 9).
type ConnInfo struct {
	Remote, Local netip.AddrPort       // IPv4 as such
	TLS           *tls.ConnectionState // shared; not to be changed
}
