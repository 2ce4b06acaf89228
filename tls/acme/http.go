package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

const (
	userAgent      = "headgate"
	maxAnswer      = 1 << 20 // a chain is some KiB
	maxErrorText   = 512     // of an answer that is no problem document, such as a balancer's page
	requestTimeout = 30 * time.Second
	dialTimeout    = 10 * time.Second
	idleTimeout    = 30 * time.Second
	maxRetryAfter  = 7 * 24 * time.Hour // the longest window of limits that is known
	minPoll        = time.Second        // between two looks at an order, whatever the authority says
	maxPoll        = time.Minute
)

// newHTTPClient returns the client that speaks to one authority. Roots is a PEM
// file, or "" for the roots of the system.
func newHTTPClient(roots string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		data, err := os.ReadFile(roots)
		if err != nil {
			return nil, fmt.Errorf("roots: %w: give the path of the PEM file with the root of the authority's own https", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("roots: %s holds no certificate in PEM form", roots)
		}
	}
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &guard{next: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:       config,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: requestTimeout,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConnsPerHost:   4,
			MaxConnsPerHost:       16,
			ForceAttemptHTTP2:     true,
		}},
	}, nil
}

// guard bounds answers and the waits between them, and notes what the ACME library
// does not tell.
type guard struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	n, noted := r.Context().Value(notesKey{}).(*notes)
	resp, err := g.next.RoundTrip(r)
	if noted && r.Method == http.MethodPost {
		n.posted(resp, err)
	}
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost && resp.StatusCode < 300 {
		boundPoll(resp.Header, time.Now())
	}
	if resp.StatusCode >= 400 && !strings.Contains(resp.Header.Get("Content-Type"), "json") {
		resp.Body = shortened{io.LimitReader(resp.Body, maxErrorText), resp.Body}
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxAnswer}
	if noted {
		n.take(resp)
	}
	return resp, nil
}

// boundPoll keeps the time until the next look at an order or an authorization
// between a second and a minute. Without the field the library has its own.
func boundPoll(h http.Header, now time.Time) {
	if h.Get("Retry-After") == "" {
		return
	}
	at := retryAfter(h, now)
	if at.IsZero() {
		h.Del("Retry-After") // the library would give up the order for it
		return
	}
	wait := min(max(at.Sub(now), minPoll), maxPoll)
	h.Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
}

type shortened struct {
	io.Reader
	io.Closer
}

// bounded is a body that fails where it is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

var errTooLong = errors.New("the authority's answer is larger than 1 MiB")

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// notes are what failures of an authority said beside their bodies. They travel in
// the context of the requests of one operation. What follows a failure, such as
// giving an authorization back, does not change them when it has success.
type notes struct {
	mu     sync.Mutex // guards the fields below
	status int        // of the last failure
	wait   time.Time  // by Retry-After of the last answer that says "not now"
	csr    bool       // the library has it, and finalizes the order next
	final  bool       // the order is finalized, or may be
}

type notesKey struct{}

func withNotes(ctx context.Context) (context.Context, *notes) {
	n := &notes{}
	return context.WithValue(ctx, notesKey{}, n), n
}

func (n *notes) take(resp *http.Response) {
	if resp.StatusCode < 400 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status = resp.StatusCode
	if busy(resp.StatusCode) {
		n.wait = retryAfter(resp.Header, time.Now())
	}
}

func (n *notes) last() (int, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status, n.wait
}

// begin is for each new order.
func (n *notes) begin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.csr = false
}

// posted tells how a POST ended. The one after the certificate request was given
// away finalizes the order: for sure when it has success, perhaps when there is no
// answer to what was sent.
func (n *notes) posted(resp *http.Response, err error) {
	var dial *net.OpError
	unsent := errors.As(err, &dial) && dial.Op == "dial"
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.csr && !unsent && (err != nil || resp.StatusCode < 300) {
		n.final = true
	}
}

// finalized reports whether a certificate may have been made.
func (n *notes) finalized() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.final
}

// request is the certificate request of an order. The library asks for it when all
// is proven, just before it finalizes the order.
type request struct{ csr *x509.CertificateRequest }

// CSR implements acmez.CSRSource.
func (q request) CSR(ctx context.Context, _ []acme.Identifier) (*x509.CertificateRequest, error) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.csr = true
	}
	return q.csr, nil
}

// busy reports whether status says to come back later.
func busy(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// retryAfter reads the field of RFC 9110 section 10.2.3; zero when there is none.
func retryAfter(h http.Header, now time.Time) time.Time {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return time.Time{}
	}
	at, err := http.ParseTime(v)
	if seconds, e := strconv.ParseInt(v, 10, 32); e == nil && seconds >= 0 {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return time.Time{}
	}
	if most := now.Add(maxRetryAfter); at.After(most) {
		return most
	}
	return at
}
