package uwsgi_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

// benchHeader is what a browser sends.
var benchHeader = uwsgi.HeaderFields{
	"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	"Accept":     {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, "Accept-Language": {"en-US,en;q=0.5"},
	"Accept-Encoding": {"gzip, deflate, br, zstd"}, "Cookie": {"sessionid=0123456789abcdef0123456789abcdef; csrftoken=0123456789abcdef"},
}

const benchAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nContent-Length: 13\r\n" +
	"Vary: Cookie\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n\r\nHello, world!"

// rawWorker answers every connection with answer after one read, so that its
// own cost is small and free of allocations per request.
func rawWorker(b *testing.B, answer string) uwsgi.Address {
	b.Helper()
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, "b.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		l.Close()
		os.RemoveAll(dir)
	})
	go func() {
		buf, out := make([]byte, 64<<10), []byte(answer)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := c.Read(buf); err == nil {
				c.Write(out)
			}
			c.Close()
		}
	}()
	return uwsgi.Address{Network: "unix", Addr: path}
}

func benchmarkDo(b *testing.B, addr uwsgi.Address, o uwsgi.Options, req *uwsgi.Request) {
	b.Helper()
	o.Dialect = uwsgi.DialectUWSGI
	tr := newTransport(b, addr, o)
	var buf [32 << 10]byte
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tr.Do(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := resp.Body.Read(buf[:]); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		resp.Body.Close()
	}
}

func BenchmarkDo(b *testing.B) {
	req := get("/")
	req.Header = benchHeader
	benchmarkDo(b, rawWorker(b, benchAnswer), uwsgi.Options{}, req)
}

// bodyWorker is rawWorker for requests of size bytes with a body.
func bodyWorker(b *testing.B, size int) uwsgi.Address {
	b.Helper()
	path := filepath.Join(shortDir(b), "b.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		buf, out := make([]byte, size), []byte(benchAnswer)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(c, buf); err == nil {
				c.Write(out)
			}
			c.Close()
		}
	}()
	return unixAt(path)
}

// benchPost is a POST of a body that is at hand, and made ready for another
// request by the returned function.
func benchPost(size int) (*uwsgi.Request, func()) {
	body := strings.NewReader(strings.Repeat("x", size))
	req := get("/")
	req.Method, req.Header, req.Body, req.ContentLength = "POST", benchHeader, body, int64(size)
	return req, func() { body.Seek(0, io.SeekStart) }
}

func benchmarkPost(b *testing.B, tr *uwsgi.Transport, req *uwsgi.Request, again func()) {
	b.Helper()
	var buf [32 << 10]byte
	b.ReportAllocs()
	for b.Loop() {
		again()
		resp, err := tr.Do(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := resp.Body.Read(buf[:]); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		resp.Body.Close()
	}
}

func BenchmarkDoBody(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			req, again := benchPost(size)
			var enc uwsgi.Encoder
			packet, err := enc.Encode(req, uwsgi.NewConstants(uwsgi.Options{}), uwsgi.DialectUWSGI, false)
			if err != nil {
				b.Fatal(err)
			}
			tr := newTransport(b, bodyWorker(b, len(packet)+size), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
			benchmarkPost(b, tr, req, again)
		})
	}
}

// BenchmarkRealUWSGIBody counts the processor time of this process too.
func BenchmarkRealUWSGIBody(b *testing.B) {
	path := filepath.Join(shortDir(b), "u.sock")
	startUWSGI(b, unixAt(path), "--socket", path, "--processes", "2", "--disable-logging")
	for _, size := range []int{0, 100, 1 << 10, 64 << 10} {
		for _, callers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%d/%d", size, callers), func(b *testing.B) {
				tr := newTransport(b, unixAt(path), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
				b.SetParallelism((callers + 1) / 2)
				var before, after syscall.Rusage
				_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
				b.ReportAllocs()
				if callers == 1 {
					req, again := benchPost(size)
					req.PathInfo = "/read"
					benchmarkPost(b, tr, req, again)
				} else {
					b.RunParallel(func(pb *testing.PB) {
						req, again := benchPost(size)
						req.PathInfo = "/read"
						for pb.Next() {
							again()
							resp, err := tr.Do(b.Context(), req)
							if err != nil {
								b.Error(err)
								return
							}
							_, _ = io.Copy(io.Discard, resp.Body)
							resp.Body.Close()
						}
					})
				}
				_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
				spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
				b.ReportMetric(float64(spent)/1000/float64(b.N), "cpu-us/op")
			})
		}
	}
}

func BenchmarkDoWatched(b *testing.B) {
	req := get("/")
	req.Header = benchHeader
	benchmarkDo(b, rawWorker(b, benchAnswer), uwsgi.Options{Watch: true}, req)
}

// BenchmarkWatch is what Options.Watch costs a request, with 100 others in flight.
func BenchmarkWatch(b *testing.B) {
	request := uwsgi.WatchOne(100)
	b.ReportAllocs()
	for b.Loop() {
		request()
	}
}

func BenchmarkWatchParallel(b *testing.B) {
	request := uwsgi.WatchEach(100)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		one := request()
		for pb.Next() {
			one()
		}
	})
}

// BenchmarkDial is what a connection alone costs on both sides.
func BenchmarkDial(b *testing.B) {
	addr := rawWorker(b, benchAnswer)
	packet := []byte("x")
	var buf [4096]byte
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("unix", addr.Addr)
		if err != nil {
			b.Fatal(err)
		}
		c.Write(packet)
		for {
			if _, err := c.Read(buf[:]); err != nil {
				break
			}
		}
		c.Close()
	}
}

func BenchmarkDoReused(b *testing.B) {
	answer := uwsgitest.Gunicorn(uwsgitest.KeepAlive, "Hello, world!")
	w := uwsgitest.Start(b, func(c *uwsgitest.Conn) {
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			c.Send(answer)
		}
	})
	req := get("/")
	req.Header = benchHeader
	tr := newTransport(b, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tr.Do(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

// BenchmarkUpload counts the processor time of both sides.
func BenchmarkUpload(b *testing.B) {
	for name, size := range map[string]int{"memory": 256 << 10, "file": 16 << 20} {
		b.Run(name, func(b *testing.B) {
			spool, err := new(uwsgi.Spooler).Read(io.LimitReader(zeros{}, int64(size)), -1)
			if err != nil {
				b.Fatal(err)
			}
			defer spool.Close()
			req := get("/")
			req.Method, req.ContentLength, req.Rewind = "POST", int64(size), spool.Rewind
			req.Body = spool.NewReader()
			var enc uwsgi.Encoder
			packet, err := enc.Encode(req, nil, uwsgi.DialectUWSGI, false)
			if err != nil {
				b.Fatal(err)
			}
			tr := newTransport(b, bodyWorker(b, len(packet)+size), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
			var before, after syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			b.SetBytes(int64(size))
			benchmarkPost(b, tr, req, func() { req.Body = spool.NewReader() })
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(spent)/1e6/(float64(size)*float64(b.N)/(1<<30)), "cpu-ms/GiB")
		})
	}
}

func BenchmarkParseResponseHead(b *testing.B) {
	head := []byte(benchAnswer)
	fields := make([]uwsgi.Field, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := uwsgi.ParseHeadInto(head, fields[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
