package gateway

import (
	"net"
	"syscall"
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
	raw.Control(func(fd uintptr) {
		syscall.AttachLsf(int(fd), dropSYN) // without it the window is a few microseconds wide
	})
}

// dropSYN is a filter for the segments that reach a socket: it drops those with
// SYN and without ACK. Byte 13 of a TCP header has the flags.
var dropSYN = []syscall.SockFilter{
	{Code: syscall.BPF_LD | syscall.BPF_B | syscall.BPF_ABS, K: 13},
	{Code: syscall.BPF_ALU | syscall.BPF_AND | syscall.BPF_K, K: 0x12},
	{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: 0x02, Jt: 0, Jf: 1},
	{Code: syscall.BPF_RET | syscall.BPF_K, K: 0},
	{Code: syscall.BPF_RET | syscall.BPF_K, K: 0xffffffff},
}
