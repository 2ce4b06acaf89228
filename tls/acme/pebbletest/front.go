package pebbletest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is what a client asked the authority, as far as a test may want to know
// it.
type Request struct {
	// Kind is "directory", "newNonce", "newAccount", "account", "newOrder",
	// "order", "finalize", "authz", "challenge", "certificate", "revokeCert",
	// "keyChange" or "renewalInfo".
	Kind   string
	Method string
	Path   string
}

// Answer is a fault. Each part of it can be left out.
type Answer struct {
	Delay  time.Duration // first of all
	Cut    bool          // then hang up; Pebble never sees the request
	Status int           // then answer in Pebble's place
	Header http.Header   // of the answer, or more for Pebble's
	Body   string        // of the answer
	Lost   bool          // Pebble does what it is asked, and its answer is lost
}

// Problem is an answer as authorities give it (RFC 8555 section 6.7), such as
// "rateLimited". With retryAfter the answer has that header.
func Problem(status int, kind, detail, retryAfter string) *Answer {
	body, _ := json.Marshal(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
	a := &Answer{Status: status, Header: http.Header{"Content-Type": {"application/problem+json"}}, Body: string(body)}
	if retryAfter != "" {
		a.Header.Set("Retry-After", retryAfter)
	}
	return a
}

// Order is an order that the authority has taken.
type Order struct {
	Account  string // URL
	Names    []string
	Profile  string
	Replaces string // identifier of a certificate (RFC 9773 section 4.1)
}

// Fault has f decide before each request what goes wrong; nil is nothing, and
// Fault(nil) ends all faults. F is called from many goroutines at once.
func (c *CA) Fault(f func(Request) *Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
}

// Count returns how many requests of a kind Pebble has answered, without those
// whose nonce was rejected.
func (c *CA) Count(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[kind]
}

// Orders returns the orders that were taken, oldest first.
func (c *CA) Orders() []Order {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.orders)
}

// startFront runs the proxy that clients meet. Links in Pebble's answers follow
// the Host field, so that they lead here.
func (c *CA) startFront(addr string) {
	c.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		c.t.Fatal(err)
	}
	transport := c.client.Transport
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			c.mu.Lock()
			defer c.mu.Unlock()
			r.SetURL(&url.URL{Scheme: "https", Host: c.target})
			r.Out.Host = r.In.Host
		},
		Transport:      transport,
		ModifyResponse: c.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	c.front = &http.Server{
		Addr: l.Addr().String(), Handler: c.faulty(proxy), ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{c.pair}, NextProtos: []string{"http/1.1"}},
	}
	c.Directory = "https://" + c.front.Addr + "/dir"
	done := make(chan struct{})
	front := c.front
	go func() {
		defer close(done)
		_ = front.ServeTLS(l, "", "") // ends with Close
	}()
	c.t.Cleanup(func() { _ = front.Close(); <-done })
}

func (c *CA) stopFront() { _ = c.front.Close() }

// faulty makes the faults.
func (c *CA) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		fault := c.fault
		c.mu.Unlock()
		var a *Answer
		if fault != nil {
			a = fault(Request{Kind: kindOf(r.URL.Path), Method: r.Method, Path: r.URL.Path})
		}
		r = keepBody(r)
		if a == nil {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case <-time.After(a.Delay):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		switch {
		case a.Cut:
			panic(http.ErrAbortHandler)
		case a.Status != 0:
			maps.Copy(w.Header(), a.Header)
			w.WriteHeader(a.Status)
			_, _ = io.WriteString(w, a.Body)
		case a.Lost:
			next.ServeHTTP(lost{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(&more{ResponseWriter: w, header: a.Header}, r)
		}
	})
}

// lost is where answers go that nobody gets.
type lost struct{ header http.Header }

// Header implements http.ResponseWriter.
func (l lost) Header() http.Header { return l.header }

// Write implements http.ResponseWriter.
func (l lost) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (l lost) WriteHeader(int) {}

// more replaces fields of an answer.
type more struct {
	http.ResponseWriter
	header http.Header
}

// WriteHeader implements http.ResponseWriter.
func (m *more) WriteHeader(status int) {
	maps.Copy(m.Header(), m.header)
	m.ResponseWriter.WriteHeader(status)
}

// answered keeps the counts.
func (c *CA) answered(resp *http.Response) error {
	kind := kindOf(resp.Request.URL.Path)
	if resp.StatusCode == http.StatusBadRequest {
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil || bytes.Contains(body, []byte(":badNonce")) {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[kind]++
	if text, ok := resp.Request.Context().Value(bodyKey{}).([]byte); ok && kind == "newOrder" && resp.StatusCode == http.StatusCreated {
		c.orders = append(c.orders, parseOrder(text))
	}
	return nil
}

// bodyKey is where the context of a request has its body.
type bodyKey struct{}

func keepBody(r *http.Request) *http.Request {
	text, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // Pebble complains of what is cut
	r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, text))
	r.Body = io.NopCloser(bytes.NewReader(text))
	return r
}

// parseOrder reads the signed text of a newOrder request.
func parseOrder(text []byte) Order {
	var jws struct{ Protected, Payload string }
	var protected struct{ Kid string }
	var payload struct {
		Identifiers []struct{ Value string }
		Profile     string
		Replaces    string
	}
	_ = json.Unmarshal(text, &jws) // Pebble has taken it: it is well-formed
	for part, into := range map[string]any{jws.Protected: &protected, jws.Payload: &payload} {
		plain, _ := base64.RawURLEncoding.DecodeString(part)
		_ = json.Unmarshal(plain, into)
	}
	o := Order{Account: protected.Kid, Profile: payload.Profile, Replaces: payload.Replaces}
	for _, id := range payload.Identifiers {
		o.Names = append(o.Names, id.Value)
	}
	return o
}

// kindOf names a request by Pebble's paths.
func kindOf(path string) string {
	for prefix, kind := range map[string]string{
		"/dir": "directory", "/nonce-plz": "newNonce", "/sign-me-up": "newAccount", "/my-account/": "account",
		"/order-plz": "newOrder", "/my-order/": "order", "/finalize-order/": "finalize", "/authZ/": "authz",
		"/chalZ/": "challenge", "/certZ/": "certificate", "/revoke-cert": "revokeCert",
		"/rollover-account-key": "keyChange", "/draft-ietf-acme-ari-03/": "renewalInfo",
	} {
		if strings.HasPrefix(path, prefix) {
			return kind
		}
	}
	return "other"
}
