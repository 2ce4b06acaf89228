package socket_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"headgate/gateway/socket"
)

func TestResetIsSeenAsOne(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	if err := c.Reset(); err != nil {
		t.Fatalf("Reset = %v", err)
	}
	client.SetReadDeadline(time.Now().Add(soon))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads %v, want a reset", err)
	}
	if err := c.Reset(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Reset = %v, want net.ErrClosed", err)
	}
}

func TestCloseWrite(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	c.Write([]byte("bye"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(client); string(b) != "bye" || err != nil {
		t.Errorf("the client read %q, %v, want bye, nil", b, err)
	}
	client.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("Read after CloseWrite = %v", err)
	}
	a, b := net.Pipe()
	defer b.Close()
	p := socket.New(a, nil)
	defer p.Close()
	if err := p.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite of a pipe = %v, want ErrUnsupported", err)
	}
}

// A client that is still sending when the answer is out must get it whole.
func TestLingerSavesTheLastAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		if _, ok := client.(*net.TCPConn); !ok {
			t.Skip("a pipe has no halves")
		}
		got := make(chan string, 1)
		go func() {
			client.Write(make([]byte, 8<<20)) // returns once it is taken
			b, _ := io.ReadAll(client)
			client.Close()
			got <- string(b)
		}()
		s.SetReadTimeout(time.Nanosecond) // Linger has its own
		s.Write([]byte("too large"))
		if err := s.Linger(64<<20, soon); err != nil {
			t.Errorf("Linger = %v", err)
		}
		if answer := receive(t, got); answer != "too large" {
			t.Errorf("the client got %q, want the answer", answer)
		}
	})
}

func TestLingerIsBounded(t *testing.T) {
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		begin := time.Now()
		s.Linger(1<<20, 20*time.Millisecond) // the client says nothing
		if d := time.Since(begin); d > soon {
			t.Errorf("waited %v for a silent client", d)
		}
	})
	each(t, func(t *testing.T, s *socket.Conn, client net.Conn) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := client.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		s.Linger(1<<20, time.Hour) // the client never stops
		receive(t, ended)
	})
}

func TestTLSOnTop(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	var h socket.Hangups
	run(t, &h)
	s, raw := pair(t)
	c := socket.New(s, &h)
	c.SetReadTimeout(soon)
	c.SetWriteTimeout(soon)
	server := tls.Server(c, &tls.Config{Certificates: web.TLS.Certificates})
	const size = 1 << 20
	sent := make(chan error, 1)
	told := gone(c)
	go func() {
		if _, err := server.Write(make([]byte, size)); err != nil {
			sent <- err
			return
		}
		sent <- server.Close()
	}()
	client := tls.Client(raw, &tls.Config{RootCAs: roots(web), ServerName: "example.com"})
	b, err := io.ReadAll(client)
	if len(b) != size || err != nil {
		t.Errorf("the client got %d bytes, %v, want %d, nil", len(b), err, size)
	}
	if err := receive(t, sent); err != nil {
		t.Errorf("server: %v", err)
	}
	quiet(t, told, "of its own Close")
}

func roots(web *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(web.Certificate())
	return p
}
