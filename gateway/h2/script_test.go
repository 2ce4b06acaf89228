package h2_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"headgate/gateway/h2"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// script is a client that sends just the frames that a test tells it to.
type script struct {
	*http2.Framer
	tb  testing.TB
	c   net.Conn
	enc *hpack.Encoder
	buf bytes.Buffer

	mute bool // PINGs are not answered
}

// dial begins a connection: the preface and SETTINGS are sent.
func dial(tb testing.TB, s *server, settings ...http2.Setting) *script {
	tb.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	if s.tls != nil {
		c = tls.Client(c, s.tls)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return begin(tb, c, settings...)
}

func begin(tb testing.TB, c net.Conn, settings ...http2.Setting) *script {
	tb.Helper()
	tb.Cleanup(func() { c.Close() })
	k := &script{Framer: http2.NewFramer(c, c), tb: tb, c: c}
	k.AllowIllegalWrites = true
	k.enc = hpack.NewEncoder(&k.buf)
	k.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		tb.Fatal(err)
	}
	k.must(k.WriteSettings(settings...))
	return k
}

// pipe serves one connection in memory. done is closed when ServeConn has returned.
func pipe(tb testing.TB, settings h2.Settings, h wire.Handler) (k *script, s *h2.Server, done chan struct{}) {
	tb.Helper()
	near, far := net.Pipe()
	s = h2.NewServer(nil)
	s.Configure(settings)
	done = make(chan struct{})
	go func() {
		defer close(done)
		sock := socket.New(far, nil)
		s.ServeConn(sock, sock, nil, h)
	}()
	tb.Cleanup(func() { near.Close(); s.Close(); <-done })
	return begin(tb, near), s, done
}

func (k *script) must(err error) {
	k.tb.Helper()
	if err != nil {
		k.tb.Fatal(err)
	}
}

// block encodes fields, given as name, value, name, value...
func (k *script) block(fields ...string) []byte {
	k.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		k.must(k.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return bytes.Clone(k.buf.Bytes())
}

// request begins a stream.
func (k *script) request(id uint32, end bool, fields ...string) {
	k.tb.Helper()
	all := append([]string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "localhost"}, fields...)
	k.headers(id, end, all...)
}

func (k *script) post(id uint32, fields ...string) {
	k.tb.Helper()
	all := append([]string{":method", "POST", ":scheme", "https", ":path", "/", ":authority", "localhost"}, fields...)
	k.headers(id, false, all...)
}

func (k *script) headers(id uint32, end bool, fields ...string) {
	k.tb.Helper()
	k.must(k.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: k.block(fields...), EndStream: end, EndHeaders: true}))
}

// event is what the server has sent, without what every connection begins with.
type event struct {
	kind   http2.FrameType
	stream uint32
	code   http2.ErrCode
	status string
	header []hpack.HeaderField
	data   string
	end    bool
	last   uint32 // of GOAWAY
}

// next reads the next frame that is not SETTINGS, WINDOW_UPDATE or PING; ok is
// false at the end of the connection. A PING is answered.
func (k *script) next() (e event, ok bool) {
	k.tb.Helper()
	for {
		f, err := k.ReadFrame()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				k.tb.Fatal("the server said nothing for too long")
			}
			k.tb.Logf("the connection ended: %v", err)
			return event{}, false
		}
		e = event{kind: f.Header().Type, stream: f.Header().StreamID}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			e.status, e.header, e.end = f.PseudoValue("status"), f.RegularFields(), f.StreamEnded()
		case *http2.DataFrame:
			e.data, e.end = string(f.Data()), f.StreamEnded()
		case *http2.RSTStreamFrame:
			e.code = f.ErrCode
		case *http2.GoAwayFrame:
			e.code, e.last = f.ErrCode, f.LastStreamID
		case *http2.PingFrame:
			if !f.IsAck() && !k.mute {
				k.WritePing(true, f.Data)
			}
			continue
		default:
			continue
		}
		return e, true
	}
}

// wantStatus reads until the answer on a stream has a head.
func (k *script) wantStatus(id uint32, status string) event {
	k.tb.Helper()
	for {
		e, ok := k.next()
		switch {
		case !ok:
			k.tb.Fatalf("the connection ended; want status %s on stream %d", status, id)
		case e.stream == id && e.kind == http2.FrameHeaders:
			if e.status != status {
				k.tb.Fatalf("stream %d: status %s, want %s", id, e.status, status)
			}
			return e
		case e.stream == id || e.kind == http2.FrameGoAway:
			k.tb.Fatalf("got %+v; want status %s on stream %d", e, status, id)
		}
	}
}

// wantEnd reads until the answer on a stream has ended, and returns its body.
func (k *script) wantEnd(id uint32) (body string) {
	k.tb.Helper()
	for {
		e, ok := k.next()
		switch {
		case !ok:
			k.tb.Fatalf("the connection ended; want the end of stream %d", id)
		case e.kind == http2.FrameRSTStream && e.stream == id || e.kind == http2.FrameGoAway:
			k.tb.Fatalf("got %+v; want the end of stream %d", e, id)
		case e.stream == id:
			if body += e.data; e.end {
				return body
			}
		}
	}
}

func (k *script) wantReset(id uint32, code http2.ErrCode) {
	k.tb.Helper()
	for {
		e, ok := k.next()
		switch {
		case !ok:
			k.tb.Fatalf("the connection ended; want a reset of stream %d", id)
		case e.kind == http2.FrameGoAway:
			k.tb.Fatalf("got %+v; want a reset of stream %d", e, id)
		case e.kind == http2.FrameRSTStream && e.stream == id:
			if e.code != code {
				k.tb.Fatalf("stream %d was reset with %v, want %v", id, e.code, code)
			}
			return
		case e.stream == id && e.end:
			k.tb.Fatalf("stream %d was answered; want a reset", id)
		}
	}
}

// wantGoAway reads until the connection has ended with code.
func (k *script) wantGoAway(code http2.ErrCode) {
	k.tb.Helper()
	got := http2.ErrCode(0xffff)
	for {
		e, ok := k.next()
		if !ok {
			break
		}
		if e.kind == http2.FrameGoAway {
			got = e.code
		}
	}
	if got != code {
		k.tb.Fatalf("the connection ended with %v, want %v", got, code)
	}
}

// until polls until f is true.
func until(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-late:
			tb.Fatal("not in time: " + what)
		}
	}
}
