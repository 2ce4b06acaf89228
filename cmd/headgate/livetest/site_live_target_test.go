package livetest_test

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"headgate/upstream/uwsgi/uwsgitest"
)

// targetRoute is a route of the gateway below, and who takes a path in the eyes of
// somebody who has not read its code.
type targetRoute struct {
	yaml  string // how it is matched
	mount string
	takes func(path string) bool
}

var targetRoutes = []targetRoute{
	{yaml: `path: /secret/, internal: true`, takes: below("/secret/")},
	{yaml: `mount: /blog`, mount: "/blog", takes: segment("/blog")},
	{yaml: `mount: "/é x"`, mount: "/é x", takes: segment("/é x")},
	{yaml: `path: "=/a/exact"`, takes: func(p string) bool { return p == "/a/exact" }},
	{yaml: `path: "~^/u/([0-9]+)$"`, takes: regexp.MustCompile(`^/u/[0-9]+$`).MatchString},
	{yaml: `path: "~[.]html$"`, takes: func(p string) bool { return strings.HasSuffix(p, ".html") }},
	{yaml: `path: /admin`, takes: segment("/admin")},
	{yaml: `path: /a/b/`, takes: below("/a/b/")},
	{yaml: `path: /a/`, takes: below("/a/")},
	{yaml: `path: "/100%"`, takes: segment("/100%")},
	{yaml: ``, takes: func(string) bool { return true }},
}

func below(prefix string) func(string) bool {
	return func(p string) bool { return strings.HasPrefix(p, prefix) }
}

func segment(prefix string) func(string) bool {
	return func(p string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }
}

// TestAppSeesWhatWasMatched: whatever a client makes of a path, the route that
// answers is the one of the path that the app sees.
func TestAppSeesWhatWasMatched(t *testing.T) {
	g := startTargets(t)
	askers := map[string]targetAsker{
		"h1": rawTarget(t, g), "h2": g.target(t, h2), "h3": g.target(t, h3),
	}
	answered := map[string]int{} // by route
	rapid.Check(t, func(t *rapid.T) {
		for _, target := range rapid.SliceOfN(rapid.Custom(drawTarget), 10, 10).Draw(t, "targets") {
			for _, dialect := range []string{"uwsgi", "gunicorn"} {
				for name, ask := range askers {
					status, seen, err := ask(dialect+".localhost", target)
					if errors.Is(err, errNoWords) {
						continue
					}
					if err != nil {
						t.Fatalf("%s: %s: %q: %v", name, dialect, target, err)
					}
					answered[seen.Get("HTTP_X_ROUTE")]++
					if fault := checkTarget(target, dialect, status, seen); fault != "" {
						t.Fatalf("%s: %s: %q: %s", name, dialect, target, fault)
					}
				}
			}
		}
	})
	for i := range targetRoutes {
		if (answered[fmt.Sprint(i)] == 0) != (i == 0) {
			t.Errorf("route %d has answered %d requests: %v", i, answered[fmt.Sprint(i)], answered)
		}
	}
}

// checkTarget says what is wrong with an answer to a target.
func checkTarget(target, dialect string, status int, seen url.Values) string {
	path, ok := canonical(target)
	if !ok {
		if status != http.StatusBadRequest {
			return fmt.Sprintf("status %d, want 400", status)
		}
		return ""
	}
	want := 0
	for !targetRoutes[want].takes(path) {
		want++
	}
	if want == 0 { // it is internal
		if status != http.StatusNotFound {
			return fmt.Sprintf("status %d, want 404", status)
		}
		return ""
	}
	if status != http.StatusOK {
		return fmt.Sprintf("status %d, want 200 of route %d", status, want)
	}
	script, info := seen.Get("SCRIPT_NAME"), seen.Get("PATH_INFO")
	if dialect == "gunicorn" {
		decoded, err := url.PathUnescape(info) // as gunicorn does
		if err != nil {
			return fmt.Sprintf("PATH_INFO is %q", info)
		}
		info = decoded
	}
	switch {
	case seen.Get("HTTP_X_ROUTE") != fmt.Sprint(want):
		return fmt.Sprintf("route %s answers, want %d for %q", seen.Get("HTTP_X_ROUTE"), want, path)
	case script != targetRoutes[want].mount:
		return fmt.Sprintf("SCRIPT_NAME is %q, want %q", script, targetRoutes[want].mount)
	case script+info != path:
		return fmt.Sprintf("the app sees %q and %q, want %q", script, info, path)
	case info != "" && info[0] != '/':
		return fmt.Sprintf("PATH_INFO is %q", info)
	case seen.Get("REQUEST_URI") != target:
		return fmt.Sprintf("REQUEST_URI is %q", seen.Get("REQUEST_URI"))
	}
	return ""
}

// canonical is the path that a target means, by the plainest of code.
func canonical(target string) (string, bool) {
	raw, _, _ := strings.Cut(target, "?")
	path, err := url.PathUnescape(raw)
	if err != nil || strings.Contains(path, "\x00") {
		return "", false
	}
	var kept []string
	parts := strings.Split(path, "/")[1:]
	for _, part := range parts {
		switch part {
		case "", ".":
		case "..":
			if len(kept) == 0 {
				return "", false
			}
			kept = kept[:len(kept)-1]
		default:
			kept = append(kept, part)
		}
	}
	path = "/" + strings.Join(kept, "/")
	if last := parts[len(parts)-1]; len(kept) > 0 && (last == "" || last == "." || last == "..") {
		path += "/"
	}
	return path, true
}

// drawParts are the segments of a path: a way around to what a route takes, or any.
func drawParts(t *rapid.T) []string {
	if rapid.Bool().Draw(t, "aimed") {
		var parts []string
		aim := rapid.SampledFrom([]string{"secret/x", "blog/y", "é x/y", "a/exact", "u/17", "y/x.html", "admin/y", "a/b/c", "a/c", "100%/y"}).Draw(t, "aim")
		for _, part := range strings.Split(aim, "/") {
			detour := rapid.SampledFrom([][]string{nil, nil, {"."}, {""}, {"z", ".."}, {"secret", "", "..", "."}}).Draw(t, "detour")
			parts = append(append(parts, detour...), part)
		}
		return parts
	}
	word := rapid.SampledFrom([]string{
		"secret", "blog", "é x", "a", "b", "exact", "u", "17", "admin", "x.html", ".html", "100%", "%41", "%2e%2e", "..;", "...", `\`, ".well-known",
		"blogger", "a;v=1", "+", "~", "*", "&=", ":", "@", "\n", "\r\n", "\xff", "\xc0\xae", "?", "#",
	})
	part := rapid.OneOf(word, word, word, rapid.SampledFrom([]string{".", "..", "", "..", "\x00", "%zz", "%"}))
	return rapid.SliceOfN(part, 1, 6).Draw(t, "parts")
}

// drawTarget makes a path of parts that mean something to the routes, and writes some
// of its bytes as escapes.
func drawTarget(t *rapid.T) string {
	var b strings.Builder
	for _, p := range drawParts(t) {
		b.WriteString(rapid.SampledFrom([]string{"/", "/", "/", "/", "%2f", "%2F"}).Draw(t, "slash"))
		if p == "%zz" || p == "%" { // not even that
			b.WriteString(p)
			continue
		}
		always := rapid.IntRange(0, 3).Draw(t, "escaped") == 0
		for i := range len(p) {
			if c := p[i]; always || strings.IndexByte("%?#", c) >= 0 || c <= ' ' || c >= 0x7f {
				fmt.Fprintf(&b, rapid.SampledFrom([]string{"%%%02x", "%%%02X"}).Draw(t, "case"), c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	target := b.String()
	if target[0] != '/' {
		target = "/" + target
	}
	return target + rapid.SampledFrom([]string{"", "/", "?", "?/../secret/", "?a=%2f"}).Draw(t, "end")
}

// startTargets runs the gateway with the routes, for each dialect at a host of its
// own, in front of a worker that tells what it was asked.
func startTargets(t *testing.T) *gateway {
	t.Helper()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		told := url.Values{}
		for _, name := range []string{"SCRIPT_NAME", "PATH_INFO", "REQUEST_URI", "HTTP_X_ROUTE"} {
			told.Set(name, r.Var(name))
		}
		body := told.Encode()
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
	})
	var pools, sites strings.Builder
	for _, dialect := range []string{"uwsgi", "gunicorn"} {
		fmt.Fprintf(&sites, "  - hosts: [%s.localhost]\n    http: serve\n    routes:\n", dialect)
		for i, r := range targetRoutes {
			fmt.Fprintf(&pools, "  %s-%d: {dialect: %s, members: [%q], vars: {HTTP_X_ROUTE: \"%d\"}}\n", dialect, i, dialect, "unix:"+w.Addr().Addr, i)
			fmt.Fprintf(&sites, "      - {pool: %s-%d%s}\n", dialect, i, more(r.yaml))
		}
	}
	dir := shortDir(t)
	g := &gateway{certificate: &certificate{roots: x509.NewCertPool()}, file: filepath.Join(dir, "headgate.yaml"), admin: filepath.Join(dir, "admin.sock")}
	m := newMint(t)
	cert, key := m.files(t, "uwsgi.localhost", "gunicorn.localhost")
	g.roots.AddCert(m.root)
	write(t, g.file, fmt.Sprintf("listen: {http: \"127.0.0.1:0\", https: \"127.0.0.1:0\"}\ntls: {issuer: none, certificates: [{cert: %q, key: %q}]}\nadmin: {socket: %q}\nlog: {access: off}\npools:\n%ssites:\n%s",
		cert, key, g.admin, pools.String(), sites.String()))
	g.process = start(t, dir, accepts("unix", g.admin), headgate, "run", "-c", g.file)
	g.learn(t)
	return g
}

// targetAsker asks a host for a target and returns what the app was asked.
type targetAsker func(host, target string) (status int, seen url.Values, err error)

// errNoWords says that a client of Go has no words for a target.
var errNoWords = errors.New("this target cannot be said")

// target speaks p, with the target in :path as it is.
func (g *gateway) target(t *testing.T, p protocol) targetAsker {
	client := g.client(t, p)
	return func(host, target string) (int, url.Values, error) {
		u := &url.URL{Scheme: "https", Host: host, Opaque: "//" + host + target}
		if u.RequestURI() != "https://"+host+target {
			return 0, nil, errNoWords
		}
		resp, err := client.Transport.RoundTrip((&http.Request{Method: "GET", URL: u, Header: http.Header{}, Host: host}).WithContext(t.Context()))
		return toldOf(resp, err)
	}
}

// rawTarget speaks HTTP/1.1 by hand.
func rawTarget(t *testing.T, g *gateway) targetAsker {
	var conn net.Conn
	var r *bufio.Reader
	t.Cleanup(func() {
		if conn != nil {
			_ = conn.Close()
		}
	})
	return func(host, target string) (int, url.Values, error) {
		if conn == nil {
			c, err := net.Dial("tcp", g.http)
			if err != nil {
				return 0, nil, err
			}
			conn, r = c, bufio.NewReader(c)
		}
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return 0, nil, err
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, host); err != nil {
			return 0, nil, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return 0, nil, err
		}
		status, seen, err := toldOf(resp, nil)
		if resp.Close {
			_ = conn.Close()
			conn = nil
		}
		return status, seen, err
	}
}

func toldOf(resp *http.Response, err error) (int, url.Values, error) {
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, nil, err
	}
	seen, err := url.ParseQuery(string(body))
	return resp.StatusCode, seen, err
}
