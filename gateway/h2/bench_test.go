package h2_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"headgate/gateway/h2"
	"headgate/gateway/wire"
)

var benchBody = []byte(strings.Repeat("x", 200))

// load asks over c in rounds of n requests and reads the answers
// without allocating, so that what is counted is the server.
type load struct {
	c     *tls.Conn
	block []byte
	next  uint32
	n     int
	buf   []byte
	out   [8192]byte
}

func newLoad(b *testing.B, addr string, conf *tls.Config, n int) *load {
	c, err := tls.Dial("tcp", addr, conf)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	l := &load{c: c, next: 1, n: n, buf: make([]byte, 64<<10)}
	io.WriteString(c, http2.ClientPreface)
	fr := http2.NewFramer(c, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	fr.WriteWindowUpdate(0, 1<<31-1-65535)
	l.round(b, l.encode()) // fills the table
	l.block = l.encode()
	return l
}

// cpu is what the process has used, which other processes change less than time.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// encode returns the block of a request. The second one names what the first has
// put into the table.
func (l *load) encode() []byte {
	var out bytes.Buffer
	e := hpack.NewEncoder(&out)
	for range 2 {
		out.Reset()
		for _, f := range [][2]string{
			{":method", "GET"},
			{":scheme", "https"},
			{":authority", "localhost:8443"},
			{":path", "/fast/answer"},
			{"user-agent", "bench/1.0"},
			{"accept", "*/*"},
			{"accept-encoding", "gzip, br"},
		} {
			e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: f[0] == ":path"})
		}
		if l.next == 1 {
			break
		}
	}
	return append([]byte(nil), out.Bytes()...)
}

// round sends n requests in one record and reads until all streams have ended.
func (l *load) round(b *testing.B, block []byte) {
	p := l.out[:0]
	for range l.n {
		p = append(p, 0, 0, byte(len(block)), 1, 5, byte(l.next>>24), byte(l.next>>16), byte(l.next>>8), byte(l.next))
		p = append(p, block...)
		l.next += 2
		if l.next == 3 { // the others must not be encoded against an empty table
			break
		}
	}
	want := l.n
	if l.next == 3 {
		want = 1
	}
	if _, err := l.c.Write(p); err != nil {
		b.Fatal(err)
	}
	have := 0
	for want > 0 {
		n, err := l.c.Read(l.buf[have:])
		if err != nil {
			b.Fatal(err)
		}
		have += n
		at := 0
		for have-at >= 9 {
			size := 9 + int(l.buf[at])<<16 + int(l.buf[at+1])<<8 + int(l.buf[at+2])
			if have-at < size {
				break
			}
			if l.buf[at+3] <= 1 && l.buf[at+4]&1 != 0 {
				want--
			}
			at += size
		}
		have = copy(l.buf, l.buf[at:have])
	}
}

func (l *load) run(b *testing.B) {
	b.ReportAllocs()
	begun := cpu()
	for b.Loop() {
		l.round(b, l.block)
	}
	b.ReportMetric(float64((cpu()-begun).Nanoseconds())/float64(b.N*l.n), "cpu-ns/request")
}

// BenchmarkRequests is some requests at once on one TLS connection; the client's
// part is the same in both and is included.
func BenchmarkRequests(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("h2/", n), func(b *testing.B) {
			f := wire.Fields{{Name: "Content-Type", Value: "text/plain"}, {Name: "Server", Value: "app"}, {Name: "X-Frame-Options", Value: "DENY"}}
			s := start(b, true, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
				s.WriteHead(200, f, int64(len(benchBody)))
				s.Write(benchBody)
			}))
			newLoad(b, s.addr, s.tls, n).run(b)
		})
		b.Run(fmt.Sprint("nethttp/", n), func(b *testing.B) {
			conf, client := configs(b)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			s := &http.Server{TLSConfig: conf, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h["Content-Type"] = []string{"text/plain"}
				h["Server"] = []string{"app"}
				h["X-Frame-Options"] = []string{"DENY"}
				h["Content-Length"] = []string{"200"}
				w.Write(benchBody)
			})}
			go s.ServeTLS(l, "", "")
			b.Cleanup(func() { s.Close() })
			newLoad(b, l.Addr().String(), client, n).run(b)
		})
	}
}
