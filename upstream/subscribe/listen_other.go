//go:build !linux

package subscribe

import "syscall"

// socketMode of a unix socket: nobody names the senders, so only our own user may
// write to it.
const socketMode = 0o600

func controlUDP(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
	})
}

func controlUnix(network, address string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.Fchmod(int(fd), socketMode)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
	})
}

// reader reads datagrams into a buffer that it has once and for all.
type reader struct {
	*socket
	buf [maxPacket + 1]byte // one more, to notice longer ones
}

// read waits for a datagram. It is valid until the next call; lost is not known here.
func (r *reader) read() (b []byte, from sender, lost uint32, err error) {
	if r.udp != nil {
		n, ap, err := r.udp.ReadFromUDPAddrPort(r.buf[:])
		return r.buf[:n], sender{ip: ap.Addr().Unmap().WithZone("")}, 0, err
	}
	n, _, err := r.unix.ReadFromUnix(r.buf[:])
	return r.buf[:n], sender{}, 0, err
}
