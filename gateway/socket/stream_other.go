//go:build !linux

package socket

import (
	"net"
	"os"
)

// stream is the fast way of other systems: there is none.
type stream struct{}

func newStream(*Conn) *stream { return nil }

func (*stream) read([]byte, Lender) (int, []byte, error) { panic("socket: no fast way") }
func (*stream) write([]byte) (int, error)                { panic("socket: no fast way") }
func (*stream) writev(*net.Buffers) (int64, error)       { panic("socket: no fast way") }
func (*stream) sendFile([]byte, *os.File, int64, int64) (int64, error) {
	panic("socket: no fast way")
}
func (*stream) discard(int64) { panic("socket: no fast way") }
