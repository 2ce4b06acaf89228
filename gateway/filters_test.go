package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway"
	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// TestBodyTypesWithoutABody: a GET has no body, in HTTP/3 too.
func TestBodyTypesWithoutABody(t *testing.T) {
	t.Parallel()
	conf := siteConf(scripted(t, nil), "", `{body_types: image/*, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for _, method := range []string{"GET", "HEAD", "DELETE", "POST"} {
			if got := c.Do(c.Request(method, "/x", nil)); got.Code != 200 {
				t.Errorf("%s without a body: got %d %q", method, got.Code, got.Body)
			}
		}
		if c.Protocol != gatewaytest.H3 {
			return
		}
		raw, err := c.Raw(gatewaytest.Head{Authority: gatewaytest.Host}, "")
		if err != nil || raw.Code != 200 {
			t.Errorf("GET without a body whose end comes later: got %+v, %v", raw, err)
		}
	})
}

// TestUpgradeThroughFilters: a tunnel is not an answer that filters end.
func TestUpgradeThroughFilters(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() == nil {
			return
		}
		c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err == nil {
			c.Send("pong" + string(b))
		}
	})
	conf := siteConf(w, "security: strict, compress: true, server_timing: on", `{cache: true, bandwidth: 1MiB, in_flight: 1, pool: app}`)
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H1)
	for range 3 {
		conn, err := c.Dial()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nping", gatewaytest.Host)
		var b bytes.Buffer
		if _, err := copyAll(&b, conn); err != nil || !strings.HasPrefix(b.String(), "HTTP/1.1 101 ") || !strings.HasSuffix(b.String(), "\r\n\r\npongping") {
			t.Errorf("got %q, %v", b.String(), err)
		}
		conn.Close()
		until(t, "nothing is under way", func() bool { return inFlight(g) == 0 })
	}
}

func inFlight(g *gatewaytest.Gateway) (n int64) {
	for _, s := range g.Snapshot().Sites {
		n += s.InFlight
	}
	return n
}

// TestRateIsTakenOnce, however often a request is led elsewhere.
func TestRateIsTakenOnce(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "file", "404.html": "lost", "429.html": "slow down"})
	w := scripted(t, map[string]string{"/get": ok("", "X-Accel-Redirect: /protected/a")})
	conf := siteConf(w, "rate_limit: {rate: 4/h, name: all}, errors: {404: /pages/404.html, 429: /pages/429.html}", fmt.Sprintf(`{path: /protected/, internal: true, files: %q}, {path: /pages/, internal: true, files: %q}, {path: /s/, files: %q}, {pool: app}`, dir, dir, dir))
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for i, want := range []string{"200 file", "200 file", "404 lost", "404 lost", "429 slow down"} {
		path := "/get"
		if i > 1 {
			path = "/s/none"
		}
		got := c.Get(path)
		if all := fmt.Sprintf("%d %s", got.Code, got.Body); all != want || len(got.Header["Ratelimit"]) != 1 {
			t.Errorf("request %d: got %q, RateLimit %q, want %q", i+1, all, got.Header["Ratelimit"], want)
		}
	}
}

// TestInFlightCoversTheFile: who downloads a file by X-Accel-Redirect is under way.
func TestInFlightCoversTheFile(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": strings.Repeat("x", 64<<20)})
	w := scripted(t, map[string]string{"/get": ok("", "X-Accel-Redirect: /protected/a")})
	conf := siteConf(w, "", fmt.Sprintf(`{path: /protected/, internal: true, files: %q}, {in_flight: 1, pool: app}`, dir))
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H1)
	first, err := c.Open(c.Request("GET", "/get", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	if got := c.Do(c.Request("HEAD", "/get", nil)); got.Code != 429 {
		t.Errorf("the second download at once: got %d", got.Code)
	}
}

// TestAskedByURLOnlyTheGatewayIsBelieved: no client says X-Forwarded-Uri in another
// way that the server that is asked may take for it.
func TestAskedByURLOnlyTheGatewayIsBelieved(t *testing.T) {
	t.Parallel()
	var odd atomic.Value
	outside := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.Contains(name, "_") {
				odd.Store(name)
			}
		}
	}))
	defer outside.Close()
	conf := siteConf(scripted(t, nil), "", fmt.Sprintf(`{forward_auth: {url: %q}, pool: app}`, outside.URL))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		odd.Store("")
		c.Get("/secret", "X_Forwarded_Uri: /public")
		if got := odd.Load(); got != "" {
			t.Errorf("it was told %v", got)
		}
	})
}

// TestAskedTooSlow and too much.
func TestAskedTooSlow(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		switch {
		case r == nil:
		case r.Var("HTTP_X_CASE") == "silent":
			<-hold
		case r.Var("HTTP_X_CASE") == "huge":
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + strings.Repeat("x", 400_000))
		case r.Var("HTTP_X_CASE") == "cut":
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nx")
		case r.Var("HTTP_X_CASE") == "endless":
			c.Send("HTTP/1.1 200 OK\r\n\r\nx")
			<-hold
		case r.Var("HTTP_X_CASE") == "101":
			c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
		case r.Var("HTTP_X_CASE") == "hint":
			c.Send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answerOK)
		case r.Var("HTTP_X_CASE") == "304":
			c.Send("HTTP/1.1 304 Not Modified\r\n\r\n")
		case r.Var("HTTP_X_CASE") == "accel":
			c.Send(ok("", "X-Accel-Redirect: /auth"))
		case r.Var("HTTP_X_CASE") == "401":
			c.Send("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 3\r\n\r\nwho")
		default:
			c.Send(answerOK)
		}
	})
	var redirected atomic.Int64
	outside := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Case") {
		case "silent":
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		case "huge":
			io.WriteString(rw, strings.Repeat("x", 400_000))
		case "cut":
			rw.Header().Set("Content-Length", "300")
			io.WriteString(rw, "x")
		case "endless":
			rw.(http.Flusher).Flush()
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		case "101":
			conn, _, _ := rw.(http.Hijacker).Hijack()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
			conn.Close()
		case "hint":
			rw.WriteHeader(103)
		case "304":
			rw.WriteHeader(304)
		case "accel":
			rw.Header().Set("Location", "/else")
			rw.WriteHeader(302)
			redirected.Add(1)
		case "401":
			rw.Header().Set("WWW-Authenticate", "Bearer")
			rw.WriteHeader(401)
			io.WriteString(rw, "who")
		}
	}))
	defer outside.Close()
	app := scripted(t, nil)
	conf := fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
pools:
  app: {members: [%q]}
  auth: {members: [%q]}
sites:
- http: serve
  routes:
  - {path: /pool/, forward_auth: {pool: auth, timeout: 1s}, pool: app}
  - {path: /url/, forward_auth: {url: %q, timeout: 1s}, pool: app}
`, app.Addr(), w.Addr(), outside.URL)
	g := gatewaytest.Start(t, conf)
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H3} {
		c := g.Client(t, p)
		for _, row := range []struct{ name, pool, url string }{
			{"silent", "504", "504"},
			{"huge", "200", "200"},
			{"cut", "200 502", "200 502"},
			{"endless", "200 502 504", "200 502 504"},
			{"101", "502", "502"},
			{"hint", "200", "200"},
			{"304", "304 502", "304 502"},
			{"accel", "502", "302"},
			{"401", "401", "401"},
		} {
			for path, want := range map[string]string{"/pool/x": row.pool, "/url/x": row.url} {
				methods := []string{"GET", "HEAD", "OPTIONS"}
				if strings.Contains(want, "504") { // each takes its time
					methods = methods[:1]
				}
				for _, method := range methods {
					got, err := c.Try(c.Request(method, path, nil, "X-Case: "+row.name, "If-None-Match: *", "Range: bytes=0-1"))
					if err != nil || !strings.Contains(want, fmt.Sprint(got.Code)) || got.BodyErr != nil {
						t.Errorf("%s %s %s over %s: got %+v, %v, want %s", method, path, row.name, p, got, err, want)
					}
					if row.name == "401" && err == nil && (got.Header.Get("WWW-Authenticate") != "Bearer" || method != "HEAD" && got.Body != "who") {
						t.Errorf("%s %s: %+v", path, method, got)
					}
				}
			}
		}
	}
	until(t, "nothing is under way", func() bool { return inFlight(g) == 0 })
}

// TestExplainsWhatRoutesDo without doing it.
func TestExplainsWhatRoutesDo(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"index.html": "x"})
	text := fmt.Sprintf(`listen: {http: "127.0.0.1:80", https: "127.0.0.1:443"}
tls: {issuer: internal}
pools: {app: {members: ["127.0.0.1:1"]}, b: {members: ["127.0.0.1:2"]}}
sites:
- hosts: [a.example]
  errors: {4xx: {pool: app, path: /oops}}
  rate_limit: {rate: 1/h}
  routes:
  - {path: /respond, respond: {body: x}}
  - {path: /go, redirect: /else}
  - {path: /re/, rewrite: {path: "/new$path", query: off}, headers: {request: {set: {X-A: b}}}, pool: app}
  - {path: /led/, rewrite: {path: /re/x}}
  - {path: "~^/odd(.*)$", rewrite: {path: "$1"}}
  - {path: /down, maintenance: on, pool: app}
  - {path: /files/, files: %q}
  - {path: /try/, files: %q, mirror: app, cache: {key: '"all"'}, compress: true, forward_auth: {pool: app}, pool: app}
  - {path: /split/, split: {pools: [{pool: app, weight: 1}, {pool: b, weight: 1}]}}
  - {path: /in/, internal: true, pool: app}
`, dir, dir)
	c, err := config.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"/respond": {"200"}, "/go": {"308", "/else"}, "/re/x?a=b": {"PATH_INFO=/new/re/x", "QUERY_STRING=\n", "HTTP_X_A=b"}, "/led/x": {"PATH_INFO=/new/re/x"}, "/odd": {"404"}, "/down": {"503"},
		"/files/x": {dir}, "/try/x": {dir, "app"}, "/split/": {"app 1/2"}, "/in/x": {"404"}, "/none": {"404"},
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			for _, scheme := range []string{"https", "http"} {
				explained(t, c, method, scheme+"://a.example"+path, want)
			}
		}
	}
	explained(t, c, "GET", "https://b.example/x", []string{"404"})
}

func explained(t *testing.T, c *config.Config, method, target string, want []string) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s %s: panic: %v", method, target, p)
		}
	}()
	e, err := gateway.Explain(c, method, target, nil)
	if err != nil {
		t.Errorf("%s: %v", target, err)
		return
	}
	if strings.HasPrefix(target, "http:") {
		want = []string{"308"}
	}
	for _, part := range want {
		if !strings.Contains(e.String(), part) {
			t.Errorf("%s %s: no %q in:\n%s", method, target, part, e)
		}
	}
}

// TestReloadsLeaveNothingOpen: directories, passwords and all filters.
func TestReloadsLeaveNothingOpen(t *testing.T) {
	dir := tree(t, map[string]string{"index.html": "x", "passwords": "ali:$2a$10$abcdefghijklmnopqrstuuvFdQ0CzRIi7hKiVmWUQzPNw3fNGwX8e\n", "404.html": "lost"})
	w := scripted(t, nil)
	var routes []string
	for i := range 10 {
		routes = append(routes, fmt.Sprintf("{path: /s%d/, files: %q}, {path: /p%d/, basic_auth: {file: %q}, sendfile: [%q], pool: app}", i, dir, i, dir+"/passwords", dir))
	}
	conf := siteConf(w, fmt.Sprintf("compress: true, security: strict, rate_limit: {rate: 100000/s}, in_flight: 100, errors: {404: {file: %q}}", dir+"/404.html"), strings.Join(routes, ", ")+", {cache: true, mirror: app, pool: app}")
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H2)
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(all)
	}
	c.Get("/s1/")
	before := open()
	end := make(chan struct{})
	var load sync.WaitGroup
	for i := range 3 {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				if got, err := c.Try(c.Request("GET", []string{"/s2/", "/x", "/s3/none"}[i], nil)); err != nil || got.Code >= 500 {
					t.Errorf("under reloads: got %+v, %v", got, err)
					return
				}
			}
		})
	}
	for range 30 {
		if err := g.ReloadWith(conf); err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	load.Wait()
	if n := open(); n > before+60 {
		t.Errorf("%d descriptors were open, and after 30 reloads %d", before, n)
	}
	until(t, "nothing is under way", func() bool { return inFlight(g) == 0 })
}

// TestOptionsOfARouteWithMethods: only a preflight is for it, and the app sees none.
func TestOptionsOfARouteWithMethods(t *testing.T) {
	t.Parallel()
	w := scripted(t, nil)
	conf := siteConf(w, `cors: {origins: ["https://a.example"]}`, `{path: /x, method: POST, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for _, row := range []struct {
			header []string
			want   int
		}{
			{nil, 405},
			{[]string{"Access-Control-Request-Method: POST"}, 405},
			{[]string{"Origin: https://a.example"}, 405},
			{[]string{"Origin: https://a.example", "Access-Control-Request-Method: POST"}, 204},
			{[]string{"Origin: https://a.example", "Access-Control-Request-Method: DELETE"}, 405},
			{[]string{"Origin: https://b.example", "Access-Control-Request-Method: POST"}, 204},
		} {
			if got := c.Do(c.Request("OPTIONS", "/x", nil, row.header...)); got.Code != row.want {
				t.Errorf("%v: got %d, want %d", row.header, got.Code, row.want)
			}
		}
	})
	if n := len(w.Requests()); n > 0 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestPausedPoolThatIsAsked refuses in its time.
func TestPausedPoolThatIsAsked(t *testing.T) {
	t.Parallel()
	w, auth := scripted(t, nil), scripted(t, nil)
	conf := fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
pools:
  app: {members: [%q]}
  auth: {members: [%q]}
  away: {members: ["unix:/nowhere/x.sock"], queue: {timeout: 100ms}}
sites:
- http: serve
  routes: [{path: /away, forward_auth: {pool: away}, pool: app}, {forward_auth: {pool: auth, timeout: 300ms}, pool: app}]
`, w.Addr(), auth.Addr())
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H2)
	if got := c.Get("/away"); got.Code != 502 {
		t.Errorf("away: got %d %q", got.Code, got.Body)
	}
	if got := c.Get("/x"); got.Code != 200 {
		t.Errorf("got %d %q", got.Code, got.Body)
	}
	if _, err := g.PausePool("auth", time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := c.Get("/x"); got.Code != 504 {
		t.Errorf("paused: got %d %q", got.Code, got.Body)
	}
	until(t, "nothing is under way", func() bool { return inFlight(g) == 0 })
}

// TestAskedAboutWhatTheAppSees: a path that is written in another way is the same one.
func TestAskedAboutWhatTheAppSees(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	outside := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Store(r.Header.Get("X-Forwarded-Uri"))
		if !strings.HasPrefix(r.Header.Get("X-Forwarded-Uri"), "/public/") {
			rw.WriteHeader(403)
		}
	}))
	defer outside.Close()
	w := scripted(t, nil)
	conf := siteConf(w, "", fmt.Sprintf(`{forward_auth: {url: %q}, pool: app}`, outside.URL))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for target, want := range map[string]string{"/public/x%20y?a=%20b": "/public/x%20y?a=%20b", "/public/../admin": "/admin", "/public/%2e%2e/admin?x": "/admin?x", "//public/./../admin": "/admin"} {
			got, err := c.Raw(gatewaytest.Head{Target: target, Authority: gatewaytest.Host}, "")
			if err != nil || (got.Code == 200) != strings.HasPrefix(want, "/public/") {
				t.Errorf("%s: got %+v, %v", target, got, err)
			} else if got.Code != 400 && asked.Load() != want {
				t.Errorf("%s: %q was asked about", target, asked.Load())
			}
		}
	})
}

// TestBodyTypeIsThatOfTheApp: of two types none passes that the app takes for another.
func TestBodyTypeIsThatOfTheApp(t *testing.T) {
	t.Parallel()
	w := scripted(t, nil)
	conf := siteConf(w, "", `{body_types: image/*, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for _, types := range [][2]string{{"image/png", "text/html"}, {"text/html", "image/png"}} {
			n := len(w.Requests())
			got, err := c.Raw(gatewaytest.Head{Method: "POST", Authority: gatewaytest.Host, Fields: [][2]string{{"content-length", "1"}, {"content-type", types[0]}, {"content-type", types[1]}}}, "x")
			if err != nil {
				t.Errorf("%v: %v", types, err)
				continue
			}
			for _, r := range w.Requests()[n:] {
				if said := r.Var("CONTENT_TYPE"); got.Code == 200 && said != "image/png" {
					t.Errorf("%v: the app was told %q", types, said)
				}
			}
		}
	})
}
