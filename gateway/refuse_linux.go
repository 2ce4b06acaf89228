package gateway

import (
	"net"

	"golang.org/x/sys/unix"
)

// refuseNew makes a listening socket ignore who begins to connect, while those
// who have begun still get in. To close it without that resets the connections
// that reached the listen queue after the last accept, and the requests on them.
// Whoever is ignored tries again a second later and finds nobody listening.
func refuseNew(l net.Listener) {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	filter := dropSYN()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	raw.Control(func(fd uintptr) {
		// Without it the window is a few microseconds wide: an error changes little.
		unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
}

// dropSYN is a filter for the segments that reach a socket: it drops those with
// SYN and without ACK. Byte 13 of a TCP header has the flags.
func dropSYN() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
}
