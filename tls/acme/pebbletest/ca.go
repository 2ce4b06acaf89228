package pebbletest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Options say what the authority is like. The zero value is an authority that
// rejects 5 % of good nonces, never reuses an authorization, and issues for 90
// days.
type Options struct {
	HTTPPort int // where http-01 is looked for; 0: a free port
	TLSPort  int // where tls-alpn-01 is looked for; 0: a free port

	EAB         map[string]string        // key id and HMAC in base64url; when there are any, an account needs one
	NonceReject int                      // percent of good nonces that are rejected; 5 by default, below 0: none
	AuthzReuse  int                      // percent of orders that may use a proof of before
	Validity    time.Duration            // of certificates; 90 days by default
	Profiles    map[string]time.Duration // more profiles and their validity; Pebble picks one at random for orders without
	Chains      int                      // alternative chains beside the first
	Block       []string                 // domains that are refused
	RetryAfter  int                      // seconds that clients are asked to wait between two looks at an order; 0: nothing is said
	DNS         string                   // host:port of a name server to ask instead of its own
	Sleep       bool                     // wait up to 5 s before each validation, as Pebble does by itself
}

// CA is a running authority. Its methods may be called from the goroutine of the
// test alone, but for Fault, Count and Orders.
type CA struct {
	Directory string // URL of the ACME directory
	RootsFile string // PEM file: the root of the directory's own https
	DNS       string // host:port of the name server that the authority asks, over UDP and TCP
	HTTPPort  int    // where http-01 is looked for
	TLSPort   int    // where tls-alpn-01 is looked for

	t       testing.TB
	o       Options
	tools   tools
	dir     string
	client  *http.Client // trusts RootsFile
	pair    tls.Certificate
	pebble  *process
	dnsCtl  string // URL of the DNS server's management
	control string // URL of Pebble's management
	front   *http.Server

	mu     sync.Mutex // guards the fields below
	target string     // host:port of Pebble itself
	fault  func(Request) *Answer
	counts map[string]int
	orders []Order
}

const startTime = 20 * time.Second // a busy machine included

// Start runs an authority until the test ends.
func Start(t testing.TB, o Options) *CA {
	t.Helper()
	c := &CA{t: t, o: o, tools: findTools(t), dir: t.TempDir(), counts: map[string]int{}, HTTPPort: o.HTTPPort, TLSPort: o.TLSPort}
	if c.HTTPPort == 0 {
		c.HTTPPort = freePort(t)
	}
	if c.TLSPort == 0 {
		c.TLSPort = freePort(t)
	}
	c.makePair()
	if c.DNS = o.DNS; o.DNS == "" {
		c.startDNS()
	}
	c.startPebble()
	c.startFront("127.0.0.1:0")
	t.Cleanup(func() {
		c.stopFront()
		c.client.CloseIdleConnections()
	})
	return c
}

// Kill ends the authority as a crash would: connections are cut, and new ones
// refused.
func (c *CA) Kill() {
	c.t.Helper()
	c.stopFront()
	c.pebble.stop()
}

// Restart brings a killed authority back under the same URL, or kills it first.
// It has forgotten everything, and its roots are new.
func (c *CA) Restart() {
	c.t.Helper()
	c.Kill()
	c.startPebble()
	c.startFront(c.front.Addr)
}

// Roots returns the root of each chain that the authority offers, the usual one
// first.
func (c *CA) Roots() []*x509.Certificate {
	c.t.Helper()
	var out []*x509.Certificate
	for i := range c.o.Chains + 1 {
		block, _ := pem.Decode(c.manage("/roots/"+strconv.Itoa(i), nil))
		if block == nil {
			c.t.Fatalf("pebble: root %d is not PEM", i)
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(out, root)
	}
	return out
}

// Root returns what to verify the authority's certificates with.
func (c *CA) Root() *x509.CertPool {
	c.t.Helper()
	pool := x509.NewCertPool()
	for _, r := range c.Roots() {
		pool.AddCert(r)
	}
	return pool
}

// Management is the URL of Pebble's management interface.
func (c *CA) Management() string { return c.control }

// Client returns an HTTP client that trusts RootsFile.
func (c *CA) Client() *http.Client { return c.client }

// SetRenewalInfo makes the authority suggest that cert is renewed between start
// and end (RFC 9773).
func (c *CA) SetRenewalInfo(cert *x509.Certificate, start, end time.Time) {
	c.t.Helper()
	window, _ := json.Marshal(map[string]any{"suggestedWindow": map[string]any{"start": start.UTC(), "end": end.UTC()}})
	c.SetRenewalAnswer(cert, string(window))
}

// SetRenewalAnswer makes the authority answer a question for cert's renewal
// information with body, whatever it is.
func (c *CA) SetRenewalAnswer(cert *x509.Certificate, body string) {
	c.t.Helper()
	c.manage("/set-renewal-info/", map[string]string{
		"Certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		"ARIResponse": body,
	})
}

// Revoked reports whether cert is revoked, and the reason's code.
func (c *CA) Revoked(cert *x509.Certificate) (bool, int) {
	c.t.Helper()
	var status struct {
		Status string
		Reason int
	}
	if err := json.Unmarshal(c.manage("/cert-status-by-serial/"+cert.SerialNumber.Text(16), nil), &status); err != nil {
		c.t.Fatal(err)
	}
	return status.Status == "Revoked", status.Reason
}

// manage asks Pebble's management interface: GET, or POST when there is a body.
func (c *CA) manage(path string, body any) []byte {
	c.t.Helper()
	return c.ask(c.control+path, body)
}

// startPebble runs Pebble on ports of its own and waits until it answers.
func (c *CA) startPebble() {
	c.t.Helper()
	for try := 1; ; try++ { // a port may be gone before Pebble takes it
		c.target = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(c.t)))
		control := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(c.t)))
		c.control = "https://" + control
		config := filepath.Join(c.dir, "pebble.json")
		if err := os.WriteFile(config, c.config(c.target, control), 0o600); err != nil {
			c.t.Fatal(err)
		}
		c.pebble = run(c.t, c.env(), c.tools.pebble, "-config", config, "-strict", "-dnsserver", c.DNS)
		if c.answers("https://"+c.target+"/dir", c.pebble) && c.answers(c.control+"/roots/0", c.pebble) {
			return
		}
		c.pebble.stop()
		if try == 3 {
			c.t.Fatalf("pebble does not start:\n%s", c.pebble.output())
		}
	}
}

func (c *CA) config(listen, control string) []byte {
	validity := c.o.Validity
	if validity == 0 {
		validity = 90 * 24 * time.Hour
	}
	type profile struct {
		Description    string `json:"description"`
		ValidityPeriod uint64 `json:"validityPeriod"`
	}
	profiles := map[string]profile{"default": {"the usual one", uint64(validity / time.Second)}}
	for name, v := range c.o.Profiles {
		profiles[name] = profile{"made for a test", uint64(v / time.Second)}
	}
	out, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": control,
		"certificate": filepath.Join(c.dir, "cert.pem"), "privateKey": filepath.Join(c.dir, "key.pem"),
		"httpPort": c.HTTPPort, "tlsPort": c.TLSPort,
		"externalAccountBindingRequired": len(c.o.EAB) > 0, "externalAccountMACKeys": c.o.EAB,
		"domainBlocklist": c.o.Block, "keyAlgorithm": "ecdsa", "profiles": profiles,
		"retryAfter": map[string]int{"authz": c.o.RetryAfter, "order": c.o.RetryAfter},
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *CA) env() []string {
	reject := c.o.NonceReject
	switch {
	case reject == 0:
		reject = 5
	case reject < 0:
		reject = 0
	}
	return []string{
		"PEBBLE_WFE_NONCEREJECT=" + strconv.Itoa(reject),
		"PEBBLE_AUTHZREUSE=" + strconv.Itoa(c.o.AuthzReuse),
		"PEBBLE_ALTERNATE_ROOTS=" + strconv.Itoa(c.o.Chains),
		"PEBBLE_VA_NOSLEEP=" + strconv.FormatBool(!c.o.Sleep),
	}
}

// answers waits until url answers, and is false when p ends first.
func (c *CA) answers(url string, p *process) bool {
	return c.until(p, func() bool {
		resp, err := c.client.Get(url)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return true
	})
}

// until waits until ok, and is false when p ends first.
func (c *CA) until(p *process, ok func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(startTime)
	for !ok() {
		select {
		case <-tick.C:
		case <-p.done:
			return false
		case <-end:
			return false
		}
	}
	return true
}

// ask does one request, which has to succeed.
func (c *CA) ask(url string, body any) []byte {
	c.t.Helper()
	out, err := c.try(url, body)
	if err != nil {
		c.t.Fatalf("pebble: %v", err)
	}
	return out
}

func (c *CA) try(url string, body any) ([]byte, error) {
	method, r := http.MethodGet, io.Reader(nil)
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		method, r = http.MethodPost, bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, out)
	}
	return out, err
}

// freePort returns a TCP port that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
