package h2_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	"headgate/gateway/h2"
	"headgate/gateway/wire"
)

const benchBytes = 10 << 20

// BenchmarkBodies moves 10 MiB over TLS; the client's part is the same in both
// and is included.
func BenchmarkBodies(b *testing.B) {
	part := make([]byte, 64<<10)
	own := func(b *testing.B) string {
		s := start(b, true, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
			if r.Method == "POST" {
				io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s}, make([]byte, 32<<10))
				s.WriteHead(200, nil, 0)
				return
			}
			s.WriteHead(200, nil, benchBytes)
			for range benchBytes / len(part) {
				s.Write(part)
			}
		}))
		benchClient = s.client(b)
		return s.url("/")
	}
	theirs := func(b *testing.B) string {
		conf, client := configs(b)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &http.Server{TLSConfig: conf, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body}, make([]byte, 32<<10))
				return
			}
			for range benchBytes / len(part) {
				w.Write(part)
			}
		})}
		go s.ServeTLS(l, "", "")
		b.Cleanup(func() { s.Close() })
		benchClient = (&server{addr: l.Addr().String(), tls: client}).client(b)
		return "https://" + l.Addr().String() + "/"
	}
	for _, way := range []struct {
		name string
		f    func(b *testing.B) string
	}{{"h2", own}, {"nethttp", theirs}} {
		b.Run("download/"+way.name, func(b *testing.B) {
			url := way.f(b)
			b.SetBytes(benchBytes)
			for b.Loop() {
				r, err := benchClient.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
		})
		b.Run("upload/"+way.name, func(b *testing.B) {
			url := way.f(b)
			b.SetBytes(benchBytes)
			for b.Loop() {
				r, err := benchClient.Post(url, "", io.LimitReader(zeros{}, benchBytes))
				if err != nil {
					b.Fatal(err)
				}
				r.Body.Close()
			}
		})
	}
}

var benchClient *http.Client
