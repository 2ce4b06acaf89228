package subscribe

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketMode of a unix socket: anybody may write to it, for the kernel names the
// senders and the rules judge them.
const socketMode = 0o666

func controlUDP(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) // says how many were lost
	})
}

func controlUnix(_, _ string, c syscall.RawConn) (err error) {
	outer := c.Control(func(fd uintptr) {
		_ = unix.Fchmod(int(fd), socketMode)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	})
	if outer != nil {
		return outer
	}
	return err
}

// reader reads datagrams into a buffer that it has once and for all.
type reader struct {
	*socket
	// The room for what comes besides is that of credentials: no descriptor fits
	// behind them, and the kernel closes those that somebody sends.
	oob  [unix.SizeofCmsghdr + (unix.SizeofUcred+7)&^7]byte
	lost uint32
	buf  [maxPacket + 1]byte // one more, to notice longer ones
}

// read waits for a datagram. It is valid until the next call; lost is how many the
// kernel has thrown away since the last one.
func (r *reader) read() (b []byte, from sender, lost uint32, err error) {
	if r.udp != nil {
		n, oobn, _, ap, err := r.udp.ReadMsgUDPAddrPort(r.buf[:], r.oob[:])
		if err != nil {
			return nil, sender{}, 0, err
		}
		return r.buf[:n], sender{ip: ap.Addr().Unmap().WithZone("")}, r.overflow(r.oob[:oobn]), nil
	}
	n, oobn, _, _, err := r.unix.ReadMsgUnix(r.buf[:], r.oob[:])
	if err != nil {
		return nil, sender{}, 0, err
	}
	return r.buf[:n], credentials(r.oob[:oobn]), 0, nil
}

// overflow returns how many datagrams were lost since it was last called.
func (r *reader) overflow(oob []byte) uint32 {
	data := control(oob, unix.SO_RXQ_OVFL, 4)
	if data == nil {
		return 0
	}
	now := binary.NativeEndian.Uint32(data)
	lost := now - r.lost
	r.lost = now
	return lost
}

// credentials reads whom the kernel names.
func credentials(oob []byte) sender {
	data := control(oob, unix.SCM_CREDENTIALS, unix.SizeofUcred)
	if data == nil {
		return sender{}
	}
	return sender{
		named: true,
		pid:   binary.NativeEndian.Uint32(data[0:]),
		uid:   binary.NativeEndian.Uint32(data[4:]),
	}
}

// control returns what a message of a kind has, of at least so many bytes; nil: it is
// not there.
func control(oob []byte, kind int32, size int) []byte {
	if len(oob) < unix.SizeofCmsghdr {
		return nil
	}
	h, data, _, err := unix.ParseOneSocketControlMessage(oob)
	if err != nil || h.Level != unix.SOL_SOCKET || h.Type != kind || len(data) < size {
		return nil
	}
	return data
}
