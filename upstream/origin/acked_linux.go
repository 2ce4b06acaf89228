package origin

import (
	"net"

	"golang.org/x/sys/unix"
)

// ackedBytes returns how many bytes the other side's kernel has acknowledged
// since the connection began, its first one being the SYN's (RFC 4898,
// tcpEStatsAppHCThruOctetsAcked). Unix sockets have no such count.
func ackedBytes(c net.Conn) (int64, bool) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	var got error
	err = raw.Control(func(fd uintptr) {
		info, got = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err != nil || got != nil {
		return 0, false
	}
	return int64(info.Bytes_acked), true
}
