package h2_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"headgate/gateway/h2"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// handlerFunc is a function as a wire.Handler.
type handlerFunc func(s wire.Stream, r *wire.Request)

func (f handlerFunc) Serve(s wire.Stream, r *wire.Request) { f(s, r) }

// server is an h2.Server that accepts on loopback.
type server struct {
	*h2.Server
	addr string
	tls  *tls.Config // of the client; nil: clear text
}

// start serves h until the test ends.
func start(tb testing.TB, secure bool, settings h2.Settings, h wire.Handler) *server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{Server: h2.NewServer(nil), addr: l.Addr().String()}
	s.Configure(settings)
	var conf *tls.Config
	if secure {
		conf, s.tls = configs(tb)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serveOne(s.Server, c, conf, h) })
		}
	})
	tb.Cleanup(func() {
		l.Close()
		s.Close()
		wg.Wait()
	})
	return s
}

func serveOne(s *h2.Server, c net.Conn, conf *tls.Config, h wire.Handler) {
	sock := socket.New(c, nil)
	if conf == nil {
		s.ServeConn(sock, sock, nil, h)
		return
	}
	t := tls.Server(sock, conf)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if t.HandshakeContext(ctx) != nil {
		sock.Close()
		return
	}
	s.ServeConn(t, sock, nil, h)
}

// configs returns the two ends' configurations with a new certificate.
func configs(tb testing.TB) (server, client *tls.Config) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}}
	return server, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}}
}
