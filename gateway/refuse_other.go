//go:build !linux

package gateway

import "net"

// refuseNew does nothing: a connection that is begun while the listener closes
// may be reset.
func refuseNew(net.Listener) {}
