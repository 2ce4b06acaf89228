package socket_test

import (
	"io"
	"net"
	"testing"
	"time"

	"headgate/gateway/socket"
)

// exchange is what an engine does for a request.
type exchange func(request, answer []byte) error

// BenchmarkExchange answers 200 bytes with 300: the client's part is the same in
// all and is included.
func BenchmarkExchange(b *testing.B) {
	ways := map[string]func(*net.TCPConn) exchange{
		"plain": func(c *net.TCPConn) exchange {
			return func(request, answer []byte) error { return answerOn(c, request, answer) }
		},
		"plain-deadlines": func(c *net.TCPConn) exchange {
			return func(request, answer []byte) error {
				c.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := io.ReadFull(c, request); err != nil {
					return err
				}
				c.SetWriteDeadline(time.Now().Add(time.Minute))
				_, err := c.Write(answer)
				return err
			}
		},
		"socket": func(t *net.TCPConn) exchange {
			c := socket.New(t, nil)
			c.SetReadTimeout(time.Minute)
			c.SetWriteTimeout(time.Minute)
			return func(request, answer []byte) error { return answerOn(c, request, answer) }
		},
		"socket-deadline": func(t *net.TCPConn) exchange {
			c := socket.New(t, nil)
			return func(request, answer []byte) error {
				c.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := io.ReadFull(c, request); err != nil {
					return err
				}
				c.SetWriteDeadline(time.Now().Add(time.Minute))
				_, err := c.Write(answer)
				return err
			}
		},
	}
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			s, c := pair(b)
			go serveExchanges(way(s))
			b.ReportAllocs()
			request, answer := make([]byte, 200), make([]byte, 300)
			for b.Loop() {
				c.Write(request)
				if _, err := io.ReadFull(c, answer); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
		})
	}
}

func answerOn(c net.Conn, request, answer []byte) error {
	if _, err := io.ReadFull(c, request); err != nil {
		return err
	}
	_, err := c.Write(answer)
	return err
}

func serveExchanges(f exchange) {
	request, answer := make([]byte, 200), make([]byte, 300)
	for f(request, answer) == nil {
	}
}
