package gateway_test

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/gateway/wire"
)

// BenchmarkServe is what the gateway does for a request between the engine that
// has read it and the engine that writes the answer: everything is decided, the
// worker is asked over a unix socket, and the line of the access log is written.
func BenchmarkServe(b *testing.B) {
	path := filepath.Join(b.TempDir(), "app.sock")
	go answerPackets(b, path)
	g := gatewaytest.Start(b, `
listen: {http: "127.0.0.1:0"}
pools: {app: {members: ["unix:`+path+`"], dialect: uwsgi}}
sites: [{hosts: [localhost], http: serve, routes: [{pool: app}]}]
`)
	c := g.Connection(netip.MustParseAddrPort("127.0.0.1:40000"))
	r := wire.Request{Method: "GET", Target: "/", Host: "localhost", Major: 1, Minor: 1, Fields: wire.Fields{{Name: "Host", Value: "localhost"}}}
	s := &silentStream{life: wire.NewLife(nil)}
	b.ReportAllocs()
	for b.Loop() {
		c.Serve(s, &r)
	}
	if s.status != 200 || s.bytes == 0 {
		b.Fatalf("status %d, %d bytes", s.status, s.bytes)
	}
}

// answerPackets is a worker that costs as little as it can.
func answerPackets(b *testing.B, path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		b.Error(err)
		return
	}
	b.Cleanup(func() { l.Close() })
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"), make([]byte, 1024)...)
	buf := make([]byte, 64<<10)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Read(buf)
		c.Write(answer)
		c.Close()
	}
}

// silentStream takes an answer and drops it.
type silentStream struct {
	wire.Stream
	life   *wire.Life
	status int
	bytes  int64
}

func (s *silentStream) Context() context.Context                     { return s.life }
func (s *silentStream) SetWriteTimeout(time.Duration)                {}
func (s *silentStream) SetReadTimeout(time.Duration)                 {}
func (s *silentStream) WriteHead(status int, _ wire.Fields, _ int64) { s.status = status }
func (s *silentStream) Write(p []byte) (int, error)                  { s.bytes += int64(len(p)); return len(p), nil }
func (s *silentStream) Flush() error                                 { return nil }
func (s *silentStream) CloseAfter()                                  {}
func (s *silentStream) Abort()                                       {}
