package livetest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// visitor is a browser of one person: it keeps cookies, and follows no redirect.
type visitor struct {
	t      testing.TB
	client *http.Client
	base   string // scheme and host
}

// visit returns a new visitor with an address of the office.
func (s *djangoSite) visit(t testing.TB, p protocol) *visitor {
	t.Helper()
	return s.visitFrom(t, p, s.address())
}

// visitFrom returns a new visitor with an address.
func (s *djangoSite) visitFrom(t testing.TB, p protocol, from string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, base: p.scheme() + "://" + shop, client: &http.Client{
		Transport: s.transport(t, p, from), Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *djangoSite) transport(t testing.TB, p protocol, from string) http.RoundTripper {
	t.Helper()
	conf := &tls.Config{RootCAs: s.roots}
	if p == h3 {
		return s.transport3(t, conf, from)
	}
	speaks := new(http.Protocols)
	speaks.SetHTTP1(p == h1 || p == h1s)
	speaks.SetHTTP2(p == h2)
	to := s.http
	if p.secure() {
		to = s.https
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	tr := &http.Transport{
		Protocols: speaks, DisableCompression: true, TLSClientConfig: conf,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "tcp", to) },
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (s *djangoSite) transport3(t testing.TB, conf *tls.Config, from string) http.RoundTripper {
	t.Helper()
	pc, err := net.ListenPacket("udp", from+":0")
	if err != nil {
		t.Fatal(err)
	}
	q := &quic.Transport{Conn: pc}
	tr := &http3.Transport{
		TLSClientConfig: conf, DisableCompression: true,
		Dial: func(ctx context.Context, _ string, conf *tls.Config, qconf *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp", s.https)
			if err != nil {
				return nil, err
			}
			return q.Dial(ctx, to, conf, qconf)
		},
	}
	t.Cleanup(func() { _ = errors.Join(tr.Close(), q.Close(), pc.Close()) })
	return tr
}

// page is an answer.
type page struct {
	t      testing.TB
	what   string // was asked for
	status int
	header http.Header
	body   string // as it came
}

// get asks for a path, or a URL, with more fields as "Name: value".
func (v *visitor) get(path string, fields ...string) *page {
	v.t.Helper()
	return v.send(http.MethodGet, path, nil, fields...)
}

// post sends a form as browsers do.
func (v *visitor) post(path string, form url.Values, fields ...string) *page {
	v.t.Helper()
	fields = append([]string{"Content-Type: application/x-www-form-urlencoded", "Origin: " + v.base, "Referer: " + v.base + path}, fields...)
	return v.send(http.MethodPost, path, strings.NewReader(form.Encode()), fields...)
}

func (v *visitor) send(method, path string, body io.Reader, fields ...string) *page {
	v.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = v.base + path
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "visitor")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	whole, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	return &page{v.t, method + " " + path, resp.StatusCode, resp.Header, string(whole)}
}

// cookie returns what the visitor has of a name.
func (v *visitor) cookie(name, path string) string {
	u, err := url.Parse(v.base + path)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// wants fails the test if the status is another.
func (p *page) wants(status int) *page {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("%s: status %d, want %d: %.500s", p.what, p.status, status, p.body)
	}
	return p
}

// says wants a text in the body, decoded.
func (p *page) says(text string) *page {
	p.t.Helper()
	if body := p.text(); !strings.Contains(body, text) {
		p.t.Errorf("%s: %d without %q: %.500s", p.what, p.status, text, body)
	}
	return p
}

// has wants a field to have exactly this value; "" is none.
func (p *page) has(name, value string) *page {
	p.t.Helper()
	if got := strings.Join(p.header.Values(name), ", "); got != value {
		p.t.Errorf("%s: %d: %s is %q, want %q", p.what, p.status, name, got, value)
	}
	return p
}

// leads wants a redirect to a place of the site, or elsewhere.
func (p *page) leads(status int, to string) {
	p.t.Helper()
	p.wants(status)
	location := p.header.Get("Location")
	if strings.HasPrefix(to, "/") {
		location = strings.TrimPrefix(location, "https://"+shop)
	}
	if location != to {
		p.t.Errorf("%s: leads to %q, want %q", p.what, p.header.Get("Location"), to)
	}
}

// text is the body, decoded.
func (p *page) text() string {
	p.t.Helper()
	var r io.Reader
	var err error
	switch coding := p.header.Get("Content-Encoding"); coding {
	case "":
		return p.body
	case "gzip":
		r, err = gzip.NewReader(strings.NewReader(p.body))
	case "br":
		r = brotli.NewReader(strings.NewReader(p.body))
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(strings.NewReader(p.body), zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
		}
		r = z
	default:
		p.t.Fatalf("%s: Content-Encoding: %s", p.what, coding)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", p.what, err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, r); err != nil {
		p.t.Errorf("%s: %s: %v", p.what, p.header.Get("Content-Encoding"), err)
	}
	return b.String()
}

// find returns what the only group of the expression matches in the body.
func (p *page) find(expression string) string {
	p.t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(p.text())
	if m == nil {
		p.t.Fatalf("%s: %d without %s: %.2000s", p.what, p.status, expression, p.text())
	}
	return m[1]
}

// login signs in through the form.
func (v *visitor) login(name, password string) *visitor {
	v.t.Helper()
	form := v.get("/admin/login/?next=/admin/").wants(200)
	token := form.find(`name="csrfmiddlewaretoken" value="(\w+)"`)
	v.post("/admin/login/?next=/admin/", url.Values{"csrfmiddlewaretoken": {token}, "username": {name}, "password": {password}, "next": {"/admin/"}}).leads(302, "/admin/")
	if v.cookie("sessionid", "/") == "" {
		v.t.Fatal("no session")
	}
	return v
}
