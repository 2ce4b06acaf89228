package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// server starts a server over TLS, with HTTP/2; change may change its TLS.
func server(t *testing.T, h http.HandlerFunc, change func(*tls.Config)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return "https://" + addr(s) + "/"
}

// certificate makes one of ECDSA; httptest's own is of RSA.
func certificate(t *testing.T) tls.Certificate {
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
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func hello(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, strings.Repeat("x", 1000))
}

func TestRate(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			var seen, other atomic.Int64
			url := server(t, func(w http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				if want := map[string]int{"h1": 1, "h2": 2}[proto]; r.ProtoMajor != want {
					other.Add(1)
				}
				hello(w, r)
			}, nil)
			r := mustCall(t, "rate", "--proto", proto, "--rate", "1000", "--connections", "5", "--duration", "300ms", url)
			if r.Requests != 300 || r.Errors != 0 || seen.Load() != 305 || other.Load() != 0 {
				t.Errorf("%d answers, %d errors (%s), %d requests came, %d of another version; want 300, and 5 more that came, one on each connection at first",
					r.Requests, r.Errors, r.Why, seen.Load(), other.Load())
			}
			if r.P50 == nil || *r.P50 <= 0 || r.LateP99 == nil || r.Seconds < 0.25 {
				t.Errorf("result is %+v, want latencies, and all of 300 ms", r)
			}
		})
	}
}

// Requests that were due while the server stalled count with all their delay.
func TestRateCountsFromWhenRequestsWereDue(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			var came atomic.Int64
			gate := make(chan struct{})
			url := server(t, func(w http.ResponseWriter, r *http.Request) {
				switch came.Add(1) {
				case 1: // before the connection is measured
					hello(w, r)
					return
				case 2:
					time.AfterFunc(400*time.Millisecond, func() { close(gate) })
				}
				<-gate
				hello(w, r)
			}, nil)
			r := mustCall(t, "rate", "--proto", proto, "--rate", "500", "--connections", "1", "--duration", "500ms", url)
			// 200 of 250 were due during the stall, one each 2 ms: the median of
			// all waited for 150 ms. Counted from when they were sent, over h1 all
			// but one would have taken next to nothing.
			if r.Requests != 250 || *r.P50 < 100 || *r.Max < 390 {
				t.Errorf("%d answers (%s), p50 %.0f ms, max %.0f ms; want 250, 100 or more, 390 or more", r.Requests, r.Why, *r.P50, *r.Max)
			}
		})
	}
}

func TestErrorsAreCounted(t *testing.T) {
	var n atomic.Int64
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		hello(w, r)
	}, nil)
	r := mustCall(t, "rate", "--proto", "h2", "--rate", "1000", "--connections", "2", "--duration", "100ms", url)
	if r.Requests != 90 || r.Errors != 10 || !strings.Contains(r.Why, "418") {
		t.Errorf("%d answers, %d errors (%s), want 90 and 10 of 418", r.Requests, r.Errors, r.Why)
	}
}

func TestIdle(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		r := mustCall(t, "idle", "--proto", proto, "--connections", "20", server(t, hello, nil))
		if r.Requests != 20 || r.Errors != 0 {
			t.Errorf("%s: result is %+v, want 20 without an error", proto, r)
		}
	}
}

func TestIdleConnectionThatIsClosedIsNoticed(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
		s.EnableHTTP2 = true
		s.StartTLS()
		target, err := targetOf("https://"+addr(s)+"/", proto)
		if err != nil {
			t.Fatal(err)
		}
		lost := make(chan error, 1)
		c, err := target.hold(0, lost)
		if err != nil {
			t.Fatal(err)
		}
		s.CloseClientConnections()
		select {
		case err := <-lost:
			if err == nil {
				t.Errorf("%s: the end of a connection is no error", proto)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: a connection that the server closed was not noticed", proto)
		}
		c.Close()
		s.Close()
	}
}

func TestHandshake(t *testing.T) {
	url := server(t, hello, nil)
	for _, tt := range []struct {
		flags   []string
		version string
		fresh   int // connections that take no session up; -1: all
	}{
		{[]string{"--tls", "1.3"}, "TLS 1.3", -1},
		{[]string{"--tls", "1.3", "--resume"}, "TLS 1.3", 2},
		{[]string{"--tls", "1.2", "--resume"}, "TLS 1.2", 2},
	} {
		flags := append([]string{"handshake", "--clients", "2", "--duration", "100ms"}, tt.flags...)
		r := mustCall(t, append(flags, url)...)
		want := 0
		if tt.fresh >= 0 {
			want = r.Requests - tt.fresh
		}
		if r.Requests < 3 || r.Resumed != want || r.Version != tt.version {
			t.Errorf("%q: %d connections, %d resumed, %s; want %d resumed, %s", tt.flags, r.Requests, r.Resumed, r.Version, want, tt.version)
		}
	}
}

func TestHandshakeOfAnotherKindIsAnError(t *testing.T) {
	for name, change := range map[string]func(*tls.Config){
		"no tickets": func(c *tls.Config) { c.SessionTicketsDisabled = true },
		"P-256":      func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} },
	} {
		if r, err := call(t, "handshake", "--resume", "--duration", "100ms", server(t, hello, change)); err == nil {
			t.Errorf("%s: result is %+v, want an error", name, r)
		}
	}
}

func TestH3(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	var n atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		hello(w, r)
	})
	s3 := &http3.Server{Handler: h, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate(t)}})}
	ended := make(chan struct{})
	go func() {
		_ = s3.Serve(udp) // ends with Close
		close(ended)
	}()
	_, port, _ := net.SplitHostPort(udp.LocalAddr().String())
	r := mustCall(t, "h3", "--connections", "2", "--streams", "3", "--duration", "200ms", "https://localhost:"+port+"/")
	_ = s3.Close()
	<-ended
	if r.Requests < 10 || r.Errors == 0 || r.Version != "TLS 1.3" || r.Bytes != int64(r.Requests)*1000 || !strings.Contains(r.Why, "418") {
		t.Errorf("result is %+v, want answers of 1000 bytes, and some of 418", r)
	}
}

func TestQuantile(t *testing.T) {
	took := make([]time.Duration, 1000)
	for i := range took {
		took[i] = time.Duration(i+1) * time.Millisecond
	}
	for q, want := range map[float64]float64{0.5: 501, 0.99: 991, 1: 1000} {
		if got := quantile(took, q); got == nil || *got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := quantile(took[:99], 0.5); got != nil {
		t.Errorf("quantile of 99 is %v, want none", *got)
	}
}

func TestQueue(t *testing.T) {
	var q queue[int]
	next := 0
	for i := range 1000 {
		q.push(i)
		for i%3 == 2 && next < i {
			got, ok := q.pop()
			if !ok || got != next {
				t.Fatalf("popped %d, %t, want %d", got, ok, next)
			}
			next++
		}
	}
}
