package h1_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// request is what a browser sends.
const request = "GET /shop/items?page=2&sort=price HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: session=0123456789abcdef; theme=dark\r\nCache-Control: max-age=0\r\n\r\n"

var page = bytes.Repeat([]byte("x"), 1<<10)

var pageFields = wire.Fields{
	{Name: "Content-Type", Value: "text/html; charset=utf-8"},
	{Name: "X-Request-Id", Value: "0123456789abcdef0123456789abcdef"},
	{Name: "Cache-Control", Value: "no-store"},
	{Name: "Vary", Value: "Cookie"},
}

func servePage(s wire.Stream, r *wire.Request) {
	s.SetWriteTimeout(time.Minute)
	s.WriteHead(200, pageFields, int64(len(page)))
	_, _ = s.Write(page)
}

// memory is a connection whose client sends the same again and again.
type memory struct {
	left int
	off  int
	net.Conn
}

func (m *memory) Read(p []byte) (int, error) {
	if m.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, request[m.off:])
	if m.off += n; m.off == len(request) {
		m.off = 0
		m.left--
	}
	return n, nil
}
func (m *memory) Write(p []byte) (int, error)      { return len(p), nil }
func (m *memory) Close() error                     { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }
func (m *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *memory) LocalAddr() net.Addr              { return &net.TCPAddr{} }

func BenchmarkMemory(b *testing.B) {
	s := start(b, servePage)
	m := &memory{left: b.N}
	sock := socket.New(m, nil)
	b.ReportAllocs()
	b.ResetTimer()
	s.ServeConn(sock, sock, nil, handler(servePage))
}

func BenchmarkLoopback(b *testing.B) {
	b.Run("plain", func(b *testing.B) { converse(b, start(b, servePage).dial()) })
	b.Run("TLS", func(b *testing.B) { converse(b, start(b, servePage, overTLS(b)).dialTLS()) })
}

// BenchmarkNetHTTP is the same by net/http, to compare with.
func BenchmarkNetHTTP(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range pageFields {
			w.Header().Set(f.Name, f.Value)
		}
		w.Header().Set("Content-Length", "1024")
		_, _ = w.Write(page)
	})
	b.Run("plain", func(b *testing.B) {
		u := httptest.NewServer(answer)
		b.Cleanup(u.Close)
		c, err := net.Dial("tcp", u.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		converse(b, newClient(b, c))
	})
	b.Run("TLS", func(b *testing.B) {
		u := httptest.NewTLSServer(answer)
		b.Cleanup(u.Close)
		c, err := tls.Dial("tcp", u.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			b.Fatal(err)
		}
		converse(b, newClient(b, c))
	})
}

// converse sends one request after the other. The client allocates nothing, over
// TLS almost nothing.
func converse(b *testing.B, c *client) {
	if err := c.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	ask := []byte(request)
	c.send(request)
	buf := make([]byte, 4<<10)
	size := 0
	for head := -1; head < 0 || size < head+4+len(page); head = bytes.Index(buf[:size], []byte("\r\n\r\n")) {
		n, err := c.Read(buf[size:])
		if err != nil {
			b.Fatal(err)
		}
		size += n
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := c.Conn.Write(ask); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.Conn, buf[:size]); err != nil {
			b.Fatal(err)
		}
	}
}
