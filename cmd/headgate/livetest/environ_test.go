package livetest_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// environ is what the app saw.
type environ map[string]any

// stand is one server in front of the app, and a way to it.
type stand struct {
	name string
	port string
	send func(t testing.TB, c call) error
}

// see sends the call and returns what the app saw of it.
func (s stand) see(t testing.TB, c call, last *http.Client) environ {
	t.Helper()
	if err := s.send(t, c); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	resp, err := last.Get(h1.url("/~last"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e environ
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	if e["SERVER_PORT"] != s.port {
		t.Errorf("%s: SERVER_PORT is %v, want %s", s.name, e["SERVER_PORT"], s.port)
	}
	if e["REMOTE_PORT"] == "" || e["REMOTE_PORT"] == nil {
		t.Errorf("%s: no REMOTE_PORT", s.name)
	}
	delete(e, "SERVER_PORT")
	delete(e, "REMOTE_PORT")
	return e
}

// TestEnviron compares what one app sees of the same request over HTTP/1.1, h2
// and h3, and behind nginx.
func TestEnviron(t *testing.T) {
	a := startApp(t, "--buffer-size", "32768")
	g := startGateway(t, conf{socket: a.socket})
	n := startNginx(t, g.certificate, a.socket)
	over1 := func(addr string, conf *tls.Config) stand {
		return stand{port: port(addr), send: func(_ testing.TB, c call) error { return c.bytes1(addr, conf) }}
	}
	over := func(p protocol, addr string) stand {
		client := g.client(t, p)
		return stand{name: string(p), port: port(addr), send: func(t testing.TB, c call) error {
			resp, err := client.Transport.RoundTrip(c.request(t, p))
			if err != nil {
				return err
			}
			return whole(resp)
		}}
	}
	stands := map[string]stand{
		"h1": over1(g.http, nil), "h1s": over1(g.https, g.tls()),
		"nginx": over1(n.http, nil), "nginx with TLS": over1(n.https, g.tls()),
		"h2": over(h2, g.https), "h2c": over(h2c, g.http), "h3": over(h3, g.https),
	}
	last := g.client(t, h1)
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			c = c.filled()
			seen := map[string]environ{}
			for name, s := range stands {
				if !c.only1 || s.name == "" {
					s.name = name
					seen[name] = s.see(t, c, last)
				}
			}
			for _, pair := range [][2]string{{"h1s", "h2"}, {"h1s", "h3"}, {"h1", "h2c"}} {
				if !c.only1 {
					compareProtocols(t, pair, seen[pair[0]], seen[pair[1]])
				}
			}
			compareNginx(t, c, "http", seen["nginx"], seen["h1"])
			compareNginx(t, c, "https", seen["nginx with TLS"], seen["h1s"])
		})
	}
}

// compareProtocols: only the protocol and the request id differ.
func compareProtocols(t *testing.T, names [2]string, a, b environ) {
	t.Helper()
	a, b = maps.Clone(a), maps.Clone(b)
	if want := protocol(names[1]).name(); b["SERVER_PROTOCOL"] != want {
		t.Errorf("%s: SERVER_PROTOCOL is %v, want %s", names[1], b["SERVER_PROTOCOL"], want)
	}
	for _, key := range []string{"SERVER_PROTOCOL", "HTTP_X_REQUEST_ID"} {
		delete(a, key)
		delete(b, key)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("%s (-) and %s (+) differ:\n%s", names[0], names[1], d)
	}
}

func compareNginx(t *testing.T, c call, scheme string, behindNginx, behindUs environ) {
	t.Helper()
	if id, _ := behindUs["HTTP_X_REQUEST_ID"].(string); len(id) < 16 {
		t.Errorf("request id %q", id)
	}
	delete(behindUs, "HTTP_X_REQUEST_ID") // nginx makes none
	want := maps.Clone(behindNginx)
	for _, d := range differences {
		d(want, c, scheme)
	}
	if d := cmp.Diff(want, behindUs); d != "" {
		t.Errorf("%s: behind nginx, corrected (-), and behind headgate (+) differ:\n%s", scheme, d)
	}
}

// differences is the whole list of what an app sees otherwise than behind
// Debian's nginx with its own uwsgi_params. Each makes of an environ behind nginx
// the one that we owe.
var differences = []func(e environ, c call, scheme string){
	// There are no documents: DOCUMENT_ROOT is a directory of nginx's package.
	func(e environ, _ call, _ string) { delete(e, "DOCUMENT_ROOT") },

	// PEP 3333 wants SCRIPT_NAME, if only empty, and uWSGI does not add it.
	func(e environ, _ call, _ string) { e["SCRIPT_NAME"] = "" },

	// The scheme is said in the way that beats what clients say (uWSGI takes
	// X-Forwarded-Proto for the scheme, even "gopher").
	func(e environ, _ call, scheme string) {
		e["UWSGI_SCHEME"], e["wsgi.url_scheme"] = scheme, scheme
	},

	// X-Forwarded-* and Forwarded are the gateway's word, whatever an untrusted
	// client says; X-Forwarded-Ssl, which uWSGI takes for HTTPS, is nobody's.
	func(e environ, c call, scheme string) {
		e["HTTP_X_FORWARDED_FOR"], e["HTTP_X_FORWARDED_PROTO"] = "127.0.0.1", scheme
		e["HTTP_X_FORWARDED_HOST"] = c.host
		delete(e, "HTTP_X_FORWARDED_SSL")
		if _, ok := e["HTTP_FORWARDED"]; ok {
			e["HTTP_FORWARDED"] = fmt.Sprintf("for=127.0.0.1;proto=%s;host=%q", scheme, host)
		}
	},

	// So is X-Real-Ip, if the client says one.
	func(e environ, _ call, _ string) {
		if _, ok := e["HTTP_X_REAL_IP"]; ok {
			e["HTTP_X_REAL_IP"] = "127.0.0.1"
		}
	},

	// Debian's file says $host, which loses the port; nginx says $host with the
	// port since 1.29.5.
	func(e environ, c call, _ string) { e["HTTP_HOST"] = c.host },

	// nginx says HTTP_CONTENT_TYPE and HTTP_CONTENT_LENGTH too, which gunicorn
	// would take for more than CONTENT_TYPE and CONTENT_LENGTH.
	func(e environ, _ call, _ string) {
		delete(e, "HTTP_CONTENT_TYPE")
		delete(e, "HTTP_CONTENT_LENGTH")
	},

	// What belongs to the connection before the gateway, and what Connection
	// lists (RFC 9110, 7.6.1). Above all Transfer-Encoding: the body goes on with
	// its length.
	func(e environ, c call, _ string) {
		for _, name := range []string{
			"CONNECTION", "KEEP_ALIVE", "TE", "TRAILER", "TRANSFER_ENCODING", "UPGRADE", "EXPECT",
			"PROXY_CONNECTION", "PROXY_AUTHORIZATION", "HTTP2_SETTINGS", "X_PRIVATE",
		} {
			delete(e, "HTTP_"+name)
		}
	},

	// An upgrade that the client asks for is the app's to take.
	func(e environ, c call, _ string) {
		if c.name == "upgrade" {
			e["HTTP_UPGRADE"], e["HTTP_CONNECTION"] = "websocket", "Upgrade"
		}
	},

	// HTTP_PROXY directs the requests that an app makes ("httpoxy").
	func(e environ, _ call, _ string) { delete(e, "HTTP_PROXY") },

	// Debian's nginx sends a variable for each line of a header, and uWSGI keeps
	// the last; nginx joins them since 1.23.0.
	func(e environ, c call, _ string) {
		joined := map[string][]string{}
		for _, line := range c.header {
			name, value, _ := strings.Cut(line, ": ")
			key := "HTTP_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
			joined[key] = append(joined[key], value)
		}
		for key, values := range joined {
			if e[key] != values[len(values)-1] || len(values) < 2 {
				continue
			}
			e[key] = strings.Join(values, ", ")
			if key == "HTTP_COOKIE" {
				e[key] = strings.Join(values, "; ")
			}
		}
	},
}

// TestStrangeTargets: where nginx refuses, so do we.
func TestStrangeTargets(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, conf{socket: a.socket})
	n := startNginx(t, g.certificate, a.socket)
	for _, target := range []string{"/../etc/passwd", "/a/../../b", "/%2e%2e/x", "/a%00b", "/a%zz", "/a%2", "a", "/a b"} {
		c := call{target: target}.filled()
		ours, theirs := c.bytes1(g.http, nil), c.bytes1(n.http, nil)
		if ours == nil || theirs == nil || !strings.HasPrefix(ours.Error(), "status 400") || !strings.HasPrefix(theirs.Error(), "status 400") {
			t.Errorf("%s: %v, and behind nginx %v", target, ours, theirs)
		}
	}
}

// TestHostsDisagree: an authority in the target that is not that of Host is
// refused, where nginx takes the former.
func TestHostsDisagree(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, conf{socket: a.socket})
	c := call{target: "http://" + host + "/abs", host: "other.example"}.filled()
	for p, err := range map[protocol]error{h1: c.bytes1(g.http, nil), h1s: c.bytes1(g.https, g.tls())} {
		if err == nil || !strings.HasPrefix(err.Error(), "status 400") || !strings.Contains(err.Error(), "do not agree") {
			t.Errorf("%s: %v, want 400", p, err)
		}
	}
}

// TestNoHost: HTTP/1.0 without Host belongs to the site of all other hosts, and
// the app is told the address that the client reached.
func TestNoHost(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, conf{socket: a.socket})
	c := call{proto: "HTTP/1.0", host: "-"}.filled()
	if err := c.bytes1(g.http, nil); err == nil || !strings.HasPrefix(err.Error(), "status 404") {
		t.Errorf("without such a site: %v", err)
	}
	g = startGateway(t, conf{socket: a.socket, more: "  - {http: serve, routes: [{pool: app}]}"})
	s := stand{name: "h1", port: port(g.http), send: func(_ testing.TB, c call) error { return c.bytes1(g.http, nil) }}
	e := s.see(t, c, g.client(t, h1))
	for _, key := range []string{"SERVER_NAME", "HTTP_HOST", "HTTP_X_FORWARDED_HOST"} {
		if e[key] != "127.0.0.1" {
			t.Errorf("%s is %q, want the local address", key, e[key])
		}
	}
}
