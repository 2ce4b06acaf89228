package origin_test

import (
	"io"
	"net/http"
	"testing"

	"headgate/upstream/origin"
)

var benchHeader = origin.HeaderFields{
	"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	"Accept":     {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, "Accept-Language": {"en-US,en;q=0.5"},
	"Accept-Encoding": {"gzip, deflate, br, zstd"}, "Cookie": {"sessionid=0123456789abcdef0123456789abcdef; csrftoken=0123456789abcdef"},
}

func benchmarkDo(b *testing.B, tr *origin.Transport) {
	req := get("/")
	req.Header = benchHeader
	var buf [32 << 10]byte
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tr.Do(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = resp.Body.Read(buf[:])
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

func BenchmarkDo(b *testing.B) {
	answer := "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nContent-Length: 13\r\n" +
		"Vary: Cookie\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n\r\nHello, world!"
	benchmarkDo(b, scripted(b, "unix", origin.Options{}, func(p *peer) {
		var buf [64 << 10]byte
		for {
			if _, err := p.Read(buf[:]); err != nil {
				return
			}
			p.send(answer)
		}
	}))
}

func BenchmarkDoHTTP2(b *testing.B) {
	tr, _ := server(b, "unix", origin.Options{HTTP2: true}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, world!") })
	benchmarkDo(b, tr)
}
