package socket_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway/socket"
)

// counted counts the writes of a connection.
type counted struct {
	net.Conn
	writes atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestBatchGathersRecords(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	s, raw := pair(t)
	below := &counted{Conn: s}
	b := socket.NewBatch(socket.New(below, nil))
	server := tls.Server(b, &tls.Config{Certificates: web.TLS.Certificates})
	body := make([]byte, 64<<10)
	rand.Read(body)
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(tls.Client(raw, &tls.Config{RootCAs: roots(web), ServerName: "example.com"}))
		got <- all
	}()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 0, 64<<10)
	for range 4 {
		before := below.writes.Load()
		b.Hold(buffer)
		if _, err := server.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := b.Release(); err != nil {
			t.Fatal(err)
		}
		if n := below.writes.Load() - before; n > 3 { // two parts where there is no writev, and the rest
			t.Errorf("%d writes for 64 KiB, want 3 at most", n)
		}
	}
	server.Close()
	if !bytes.Equal(receive(t, got), bytes.Repeat(body, 4)) {
		t.Error("the client got something else")
	}
}

func TestBatchHoldsUntilRelease(t *testing.T) {
	s, client := pair(t)
	b := socket.NewBatch(socket.New(s, nil))
	b.Hold(make([]byte, 4))
	b.Write([]byte("ab"))
	client.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client reads %v before Release", err)
	}
	if n, err := b.Write([]byte("cdefg")); n != 5 || err != nil { // does not fit
		t.Errorf("Write = %d, %v, want 5, nil", n, err)
	}
	b.Write([]byte("h"))
	if err := b.Release(); err != nil {
		t.Error(err)
	}
	b.Write([]byte("i"))
	b.Close()
	client.SetReadDeadline(time.Now().Add(soon))
	if all, err := io.ReadAll(client); string(all) != "abcdefghi" || err != nil {
		t.Errorf("the client got %q, %v, want abcdefghi", all, err)
	}
	b.Hold(nil)
	if n, err := b.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close = %d, %v, want 0, net.ErrClosed", n, err)
	}
}
