package gateway_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// environ is what an app sees: the variables by name. A name that is there twice
// fails the test.
func environ(t *testing.T, r *uwsgitest.Request) map[string]string {
	t.Helper()
	env := make(map[string]string)
	for _, v := range r.Vars {
		if _, ok := env[v.Key]; ok && v.Key != "UWSGI_SCHEME" {
			t.Errorf("the variable %s is there twice", v.Key)
		}
		env[v.Key] = v.Value
	}
	return env
}

// last is the request that a worker has received last.
func last(t *testing.T, w *uwsgitest.Worker) *uwsgitest.Request {
	t.Helper()
	all := w.Requests()
	if len(all) == 0 {
		t.Fatal("the worker has received nothing")
	}
	return all[len(all)-1]
}

// checkEnv compares some variables; a name with "-" before it must be absent.
func checkEnv(t *testing.T, w *uwsgitest.Worker, want map[string]string) {
	t.Helper()
	env := environ(t, last(t, w))
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if name, absent := strings.CutPrefix(key, "-"); absent {
			if got, ok := env[name]; ok {
				t.Errorf("the worker sees %s=%q, want none", name, got)
			}
			continue
		}
		if got, ok := env[key]; !ok || got != want[key] {
			t.Errorf("the worker sees %s=%q (%v), want %q", key, got, ok, want[key])
		}
	}
}

// TestEnvironIsTheSameOverAllProtocols compares every variable.
func TestEnvironIsTheSameOverAllProtocols(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Pool = "vars: {DJANGO_SETTINGS_MODULE: shop.settings}"
	g := gatewaytest.Start(t, conf.String())
	first := make(map[bool]map[string]string)
	for _, p := range gatewaytest.Protocols() {
		c := g.Client(t, p)
		r := c.Request("POST", "/a%20b/../c//%C3%A4?x=%2F&y", strings.NewReader("hello"),
			"Accept: text/html", "Cookie: a=1", "Cookie: b=2", "X-Twice: one", "X-Twice: two", "Content-Type: text/x-test", "X-Empty: ")
		r.URL.Opaque = "" // the path goes as written
		r.URL.RawPath, r.URL.Path = "/a%20b/../c//%C3%A4", "/a b/../c//ä"
		r.Header.Set("X-Request-Id", "the-same")
		r.Header.Set("User-Agent", "test/1")
		if got := c.Do(r); got.Code != 200 {
			t.Fatalf("%s: got %d %q", p, got.Code, got.Body)
		}
		env := environ(t, last(t, w))
		want := map[string]string{
			"SERVER_PROTOCOL": p.Proto(), "REQUEST_METHOD": "POST", "REQUEST_URI": "/a%20b/../c//%C3%A4?x=%2F&y", "QUERY_STRING": "x=%2F&y",
			"PATH_INFO": "/c/ä", "SCRIPT_NAME": "", "CONTENT_LENGTH": "5", "CONTENT_TYPE": "text/x-test",
			"SERVER_NAME": gatewaytest.Host, "SERVER_PORT": g.Port(p.Scheme()), "HTTP_HOST": gatewaytest.Host,
			"REMOTE_ADDR": "127.0.0.1", "REQUEST_SCHEME": p.Scheme(), "UWSGI_SCHEME": p.Scheme(),
			"HTTP_ACCEPT": "text/html", "HTTP_COOKIE": "a=1; b=2", "HTTP_X_TWICE": "one, two", "HTTP_X_EMPTY": "", "HTTP_USER_AGENT": "test/1",
			"HTTP_X_REQUEST_ID": "the-same", "HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": p.Scheme(), "HTTP_X_FORWARDED_HOST": gatewaytest.Host,
			"DJANGO_SETTINGS_MODULE": "shop.settings",
		}
		if p.Secure() {
			want["HTTPS"] = "on"
		}
		if env["REMOTE_PORT"] == "" || env["REMOTE_PORT"] == "0" {
			t.Errorf("%s: REMOTE_PORT=%q", p, env["REMOTE_PORT"])
		}
		delete(env, "REMOTE_PORT")
		if d := cmp.Diff(want, env); d != "" {
			t.Errorf("%s: -want +got\n%s", p, d)
		}
		if body := string(last(t, w).Body); body != "hello" {
			t.Errorf("%s: the worker got the body %q", p, body)
		}
		delete(env, "SERVER_PROTOCOL")
		if before := first[p.Secure()]; before == nil {
			first[p.Secure()] = env
		} else if d := cmp.Diff(before, env); d != "" {
			t.Errorf("%s differs from the first of its scheme: %s", p, d)
		}
	}
}

func TestHeaderHygiene(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		fields := [][2]string{
			{"X_Under_Score", "evil"},
			{"X.Dot", "evil"},
			{"Proxy", "http://evil"},
			{"Remote-Addr", "6.6.6.6"},
			{"REMOTE_USER", "root"},
			{"HTTPS", "on"},
			{"X-Forwarded-For", "6.6.6.6"},
			{"X-Forwarded-Proto", "gopher"},
			{"X-Forwarded-Host", "evil"},
			{"X-Forwarded-Ssl", "on"},
			{"Forwarded", "for=6.6.6.6;host=evil;proto=https"},
			{"X-A", "1"},
			{"X-A", "2"},
			{"Cookie", "a=1"},
			{"Cookie", "b=2"},
			{"Content-Type", "text/one"},
			{"X-Kept", "yes"},
		}
		if c.Protocol.Major() == 1 {
			fields = append(fields, [2]string{"Connection", "close, x-listed, X-Forwarded-For, x-request-id"}, [2]string{"X-Listed", "evil"},
				[2]string{"Keep-Alive", "timeout=5"}, [2]string{"Proxy-Connection", "close"}, [2]string{"Upgrade", "h2c"}, [2]string{"HTTP2-Settings", "AAMAAABk"},
				[2]string{"Proxy-Authorization", "Basic c2VjcmV0"}, [2]string{"Trailer", "X-T"})
		}
		fields = append(fields, [2]string{"TE", "trailers"})
		got, err := c.Raw(gatewaytest.Head{Method: "POST", Authority: gatewaytest.Host, Fields: fields}, "x")
		if err != nil || got.Code != 200 {
			t.Fatalf("got %+v, %v", got, err)
		}
		checkEnv(t, w, map[string]string{
			"-HTTP_X_UNDER_SCORE": "", "-HTTP_X_DOT": "", "-HTTP_X.DOT": "", "-HTTP_PROXY": "", "-REMOTE_USER": "", "-HTTP_REMOTE_USER": "",
			"-HTTP_X_FORWARDED_SSL": "", "-HTTP_X_LISTED": "", "-HTTP_CONNECTION": "", "-HTTP_KEEP_ALIVE": "",
			"-HTTP_PROXY_CONNECTION": "", "-HTTP_UPGRADE": "", "-HTTP_HTTP2_SETTINGS": "", "-HTTP_PROXY_AUTHORIZATION": "", "-HTTP_TE": "",
			"-HTTP_TRAILER": "", "-HTTP_TRANSFER_ENCODING": "", "-HTTP_CONTENT_LENGTH": "", "-HTTP_CONTENT_TYPE": "",
			"REMOTE_ADDR": "127.0.0.1", "HTTP_REMOTE_ADDR": "6.6.6.6", // fields of such names are harmless
			"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": c.Protocol.Scheme(), "HTTP_X_FORWARDED_HOST": gatewaytest.Host,
			"HTTP_FORWARDED": "for=127.0.0.1;proto=" + c.Protocol.Scheme() + `;host="` + gatewaytest.Host + `"`,
			"HTTP_X_A":       "1, 2", "HTTP_COOKIE": "a=1; b=2", "CONTENT_TYPE": "text/one", "HTTP_X_KEPT": "yes", "CONTENT_LENGTH": "1",
		})
		if !c.Protocol.Secure() {
			checkEnv(t, w, map[string]string{"-HTTPS": "", "UWSGI_SCHEME": "http"})
		}
	})
}

func TestTrustedProxyIsBelieved(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Listen = `trusted_proxies: ["127.0.0.0/8", "10.0.0.0/8"]`
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		got := c.Get("/", "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.2.3", "X-Forwarded-Proto: https", "X-Forwarded-Host: Shop.example:8443")
		if got.Code != 200 {
			t.Fatalf("got %d %q", got.Code, got.Body)
		}
		checkEnv(t, w, map[string]string{
			"REMOTE_ADDR": "192.0.2.7", "HTTP_X_FORWARDED_FOR": "192.0.2.7, 10.1.2.3, 127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https",
			"HTTP_X_FORWARDED_HOST": "Shop.example:8443", "HTTP_HOST": "Shop.example:8443", "HTTPS": "on", "REQUEST_SCHEME": "https", "UWSGI_SCHEME": "https",
			"SERVER_NAME": "shop.example", "-HTTP_FORWARDED": "",
		})
		line := c.Gateway.Request(got.ID)
		if line.Text("client") != "192.0.2.7" || line.Text("host") != "Shop.example:8443" {
			t.Errorf("access log: %v", line)
		}
		c.Get("/", `Forwarded: for=6.6.6.6, for="192.0.2.9:4711";host=shop.example;proto=http`)
		checkEnv(t, w, map[string]string{
			"REMOTE_ADDR": "192.0.2.9", "REMOTE_PORT": "4711", "HTTP_HOST": "shop.example", "REQUEST_SCHEME": "http", "-HTTPS": "",
			"HTTP_FORWARDED": `for=192.0.2.9;proto=http;host="shop.example"`, "HTTP_X_FORWARDED_FOR": "192.0.2.9, 127.0.0.1",
		})
	})
}

func TestRequestIDIsTakenOrMade(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		send := func(ids ...string) string {
			t.Helper()
			r := c.Request("GET", "/", nil)
			r.Header["X-Request-Id"] = ids
			if got := c.Do(r); got.Code != 200 {
				t.Fatalf("got %d %q", got.Code, got.Body)
			}
			return environ(t, last(t, w))["HTTP_X_REQUEST_ID"]
		}
		if got := send("Ab-1_2.3:4=/+"); got != "Ab-1_2.3:4=/+" {
			t.Errorf("a good id became %q", got)
		}
		seen := map[string]bool{}
		for _, ids := range [][]string{nil, {""}, {"two words"}, {"a", "b"}, {strings.Repeat("x", 129)}, {`"quoted"`}} {
			got := send(ids...)
			if len(got) != 32 || seen[got] || strings.Trim(got, "0123456789abcdef") != "" {
				t.Errorf("%q became %q", ids, got)
			}
			seen[got] = true
			if c.Gateway.Request(got) == nil {
				t.Errorf("%q is not logged", got)
			}
		}
	})
}
