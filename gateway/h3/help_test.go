package h3_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

// handlerFunc is a wire.Handler.
type handlerFunc func(s wire.Stream, r *wire.Request)

func (f handlerFunc) Serve(s wire.Stream, r *wire.Request) { f(s, r) }

// server is one that listens on a free port.
type server struct {
	*h3.Server
	t *testing.T
}

// start returns a server that has the settings and ends with the test.
func start(t *testing.T, set h3.Settings, f handlerFunc) *server {
	t.Helper()
	return startWith(t, set, func(h3.ConnInfo) wire.Handler { return f })
}

func startWith(t *testing.T, set h3.Settings, handler func(h3.ConnInfo) wire.Handler) *server {
	t.Helper()
	s := h3.NewServer(h3.Setup{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), TLS: serverTLS(t), Handler: handler})
	s.Configure(set)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	return &server{s, t}
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"h3"}}
}

// dial opens a QUIC connection that ends with the test.
func (s *server) dial(conf *quic.Config) *quic.Conn {
	s.t.Helper()
	c, err := s.tryDial(conf)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *server) tryDial(conf *quic.Config) (*quic.Conn, error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	tr := &quic.Transport{Conn: pc}
	s.t.Cleanup(func() {
		_ = tr.Close()
		_ = pc.Close()
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := tr.Dial(ctx, s.Addr(), clientTLS(), conf)
	if err == nil {
		s.t.Cleanup(func() { _ = c.CloseWithError(0x100, "") })
	}
	return c, err
}

// client returns one of http3 that uses one connection.
func (s *server) client() *http.Client {
	s.t.Helper()
	tr := &http3.Transport{DisableCompression: true, Dial: func(_ context.Context, _ string, _ *tls.Config, conf *quic.Config) (*quic.Conn, error) {
		return s.tryDial(conf)
	}}
	s.t.Cleanup(func() { _ = tr.Close() })
	return &http.Client{Transport: tr, Timeout: patience}
}

// do makes a request and reads the answer.
func do(t *testing.T, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func get(t *testing.T, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	return do(t, c, request(t, http.MethodGet, path, nil))
}

func request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "https://localhost"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ok answers every request.
func ok(s wire.Stream, _ *wire.Request) { answer(s, 200, "ok") }

func answer(s wire.Stream, status int, text string) {
	s.WriteHead(status, wire.Fields{{Name: "Content-Type", Value: "text/plain"}}, int64(len(text)))
	_, _ = io.WriteString(s, text) // what a client does not take, the test sees there
}

// eventually waits until f reports true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(patience)
	for !f() {
		if time.Now().After(end) {
			t.Fatal("in vain: ", what)
		}
		<-tick.C
	}
}

// recv waits for what comes on a channel.
func recv[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("in vain: ", what)
	}
	return v
}

// A head is the fields of a raw request.
type head [][2]string

func getHead(more ...[2]string) head {
	return append(head{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}}, more...)
}

func postHead(more ...[2]string) head {
	h := getHead(more...)
	h[0][1] = "POST"
	return h
}

// block encodes h as a header block.
func (h head) block() []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for _, f := range h {
		_ = e.WriteField(qpack.HeaderField{Name: f[0], Value: f[1]}) // a Buffer takes everything
	}
	return b.Bytes()
}

func (h head) frame() []byte { return frame(1, h.block()) }

func frame(kind uint64, payload []byte) []byte {
	b := quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload)))
	return append(b, payload...)
}

func data(s string) []byte { return frame(0, []byte(s)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// raw sends bytes on a stream of its own; end closes the sending half.
func raw(t *testing.T, c *quic.Conn, end bool, b []byte) *quic.Stream {
	t.Helper()
	s, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(patience)) // a stream takes every deadline
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
	if end {
		_ = s.Close()
	}
	return s
}

// response is what a raw request got.
type response struct {
	heads []map[string][]string // names in lower case, with :status
	body  string
	err   error // nil: it ended in order
}

func (r response) status() int {
	if len(r.heads) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(r.heads[len(r.heads)-1][":status"][0])
	return n
}

// read reads the answer to a raw request.
func read(s *quic.Stream) (r response) {
	br := quicvarint.NewReader(s)
	for {
		kind, err := quicvarint.Read(br)
		if err == io.EOF {
			return r
		}
		var n uint64
		if err == nil {
			n, err = quicvarint.Read(br)
		}
		p := make([]byte, n)
		if err == nil {
			var k int
			k, err = io.ReadFull(br, p)
			p = p[:k]
		}
		if kind == 0 {
			r.body += string(p)
		}
		if err != nil {
			r.err = err
			return r
		}
		if kind == 1 {
			h := map[string][]string{}
			next := qpack.NewDecoder().Decode(p)
			for f, err := next(); err == nil; f, err = next() {
				h[f.Name] = append(h[f.Name], f.Value)
			}

			r.heads = append(r.heads, h)
		}
	}
}

// code returns the code with which a stream or a connection was ended by the server.
func code(err error) string {
	var stream *quic.StreamError
	var conn *quic.ApplicationError
	switch {
	case errors.As(err, &stream) && stream.Remote:
		return fmt.Sprintf("stream %#x", uint64(stream.ErrorCode))
	case errors.As(err, &conn) && conn.Remote:
		return fmt.Sprintf("connection %#x", uint64(conn.ErrorCode))
	}
	return fmt.Sprint(err)
}
