package gateway_test

import (
	"bytes"
	"compress/gzip"
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

// TestHeaderOfKeptAnswersIsNotChanged: filters that take fields out of an answer do
// so for one client.
func TestHeaderOfKeptAnswersIsNotChanged(t *testing.T) {
	t.Parallel()
	w := scripted(t, map[string]string{"/kept": ok("body", "Cache-Control: max-age=60", "X-Debug: 1", "Server: app", "X-Powered-By: me", "X-Last: z")})
	conf := siteConf(w, "security: strict", `{cache: true, headers: {response: {set: {X-Last: {cel: 'request.query["n"]'}}, remove: [X-Debug, X-Powered-By]}}, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		c.Get("/kept?n=1")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 5 {
					resp, err := c.Try(c.Request("GET", "/kept?n=1", nil))
					if err != nil {
						t.Errorf("a kept answer: %v", err)
						return
					}
					if got := resp.Header; got.Get("X-Last") != "1" || got.Get("X-Debug") != "" || got.Get("Cache-Control") != "max-age=60" || len(got[""]) > 0 || resp.Body != "body" {
						t.Errorf("a kept answer: %q %v", resp.Body, got)
					}
				}
			})
		}
		all.Wait()
	})
}

// flaky is an app that answers by what its test says.
func flaky(t *testing.T, answer func(r *uwsgitest.Request) string) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil {
			c.Send(answer(r))
		}
	})
}

// TestStaleAnswerInPlaceOfAnError has no page of the error behind it.
func TestStaleAnswerInPlaceOfAnError(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	w := flaky(t, func(*uwsgitest.Request) string {
		if bad.Load() {
			return "garbage"
		}
		return ok("fine", "Cache-Control: max-age=0, stale-if-error=600", `ETag: "1"`)
	})
	dir := tree(t, map[string]string{"50x.html": "<h1>oops</h1>"})
	conf := siteConf(w, "errors: {5xx: /pages/50x.html}", fmt.Sprintf(`{path: /pages/, internal: true, files: %q}, {cache: true, pool: app}`, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		bad.Store(false)
		path := "/x?" + c.Protocol.String()
		c.Get(path)
		bad.Store(true)
		for range 2 {
			got, err := c.Try(c.Request("GET", path, nil))
			if err != nil || got.Code != 200 || got.Body != "fine" || got.BodyErr != nil {
				t.Errorf("a stale answer: got %+v, %v", got, err)
			}
		}
	})
}

// TestLoopHasItsPage: what goes round in circles is answered.
func TestLoopHasItsPage(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"50x.html": "<h1>oops</h1>"})
	w := scripted(t, map[string]string{"/loop": ok("", "X-Accel-Redirect: /loop")})
	conf := siteConf(w, "errors: {5xx: /pages/50x.html}", fmt.Sprintf(`{path: /pages/, internal: true, files: %q}, {pool: app}`, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		got, err := c.Try(c.Request("GET", "/loop", nil))
		if err != nil || got.Code != 500 || got.Body != "<h1>oops</h1>" && !strings.Contains(got.Body, "500 ") {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestPagesOfWhatWasLedElsewhere: a rewritten request and one that the app has led
// to a file have the pages of errors that any other has.
func TestPagesOfWhatWasLedElsewhere(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"404.html": "<h1>lost</h1>"})
	w := scripted(t, map[string]string{"/accel": ok("", "X-Accel-Redirect: /protected/none")})
	conf := siteConf(w, fmt.Sprintf("errors: {404: {file: %q}}", dir+"/404.html"), fmt.Sprintf(`{path: /old/, rewrite: {path: /static/none}}, {path: /protected/, internal: true, files: %q}, {path: /static/, files: %q}, {pool: app}`, dir, dir))
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for _, path := range []string{"/static/none", "/old/x", "/accel"} {
		if got := c.Get(path); got.Code != 404 || got.Body != "<h1>lost</h1>" {
			t.Errorf("%s: got %d %q", path, got.Code, got.Body)
		}
	}
}

// TestMaintenanceOfARewrittenRequest: the maintenance of a route stops also those
// that another route leads to it.
func TestMaintenanceOfARewrittenRequest(t *testing.T) {
	t.Parallel()
	w := scripted(t, nil)
	conf := siteConf(w, "", `{path: /shop/, maintenance: on, pool: app}, {path: /old/, rewrite: {path: /shop/x}}, {pool: app}`)
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for _, path := range []string{"/shop/x", "/old/x"} {
		if got := c.Get(path); got.Code != 503 {
			t.Errorf("%s: got %d %q", path, got.Code, got.Body)
		}
	}
}

// TestErrorPageIsWhole: what the client says of the page it wanted is not about the
// page of the error.
func TestErrorPageIsWhole(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"404.html": "<h1>lost</h1>"})
	w := flaky(t, func(r *uwsgitest.Request) string {
		switch {
		case r.Var("HTTP_IF_NONE_MATCH") != "":
			return "HTTP/1.1 304 Not Modified\r\n\r\n"
		case r.Var("HTTP_RANGE") != "":
			return "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nab"
		case strings.Contains(r.Var("HTTP_ACCEPT_ENCODING"), "gzip"):
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			fmt.Fprint(z, "<h1>lost</h1>")
			z.Close()
			return ok(b.String(), "Content-Encoding: gzip")
		}
		return ok("<h1>lost</h1>")
	})
	conf := siteConf(w, "", fmt.Sprintf(`{path: /pages/, internal: true, files: %q}, {path: /app/, internal: true, pool: app}, {path: /asked/, files: %q, errors: {404: {pool: app, path: /404}}},
	  {path: /led/, files: %q, errors: {404: /app/404}}, {path: /s/, files: %q, errors: {404: /pages/404.html}}`, dir, dir, dir, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for _, path := range []string{"/s/x", "/asked/x", "/led/x"} {
			for _, header := range []string{"If-None-Match: *", "Range: bytes=0-1", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "Accept-Encoding: gzip", "If-Match: \"x\""} {
				got := c.Get(path, header)
				body := got.Body
				if got.Header.Get("Content-Encoding") == "gzip" {
					z, err := gzip.NewReader(strings.NewReader(body))
					if err != nil {
						t.Errorf("%s %s: %v", path, header, err)
						continue
					}
					b, _ := io.ReadAll(z)
					body = string(b)
				}
				if got.Code != 404 || body != "<h1>lost</h1>" || got.Header.Get("Content-Range") != "" {
					t.Errorf("%s %s: got %d %q %v", path, header, got.Code, body, got.Header)
				}
			}
		}
	})
}

// TestKeptAnswersAreNotOfOtherUsers: what forward_auth says of a user is a part of
// the request, as the cache sees it.
func TestKeptAnswersAreNotOfOtherUsers(t *testing.T) {
	t.Parallel()
	w := flaky(t, func(r *uwsgitest.Request) string {
		if r.Var("PATH_INFO") == "/auth" {
			return ok("", "X-User: "+strings.TrimPrefix(r.Var("HTTP_COOKIE"), "u="))
		}
		return ok("page of "+r.Var("HTTP_X_USER"), "Cache-Control: public, max-age=60", "Vary: X-User")
	})
	conf := siteConf(w, "forward_auth: {pool: app, path: /auth, headers: [X-User]}", `{path: /vary/, cache: {key: '"all"'}, pool: app}, {path: /key/, cache: {key: 'request.header["x-user"]'}, pool: app}`)
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for _, path := range []string{"/vary/x", "/key/x"} {
		for _, user := range []string{"ali", "eve"} {
			for range 2 {
				if got := c.Get(path, "Cookie: u="+user); got.Body != "page of "+user {
					t.Errorf("%s for %s: got %d %q, %s", path, user, got.Code, got.Body, got.Header.Get("Cache-Status"))
				}
			}
		}
	}
}

// TestKeptAnswersAreOfOneRoute: the same address by another route is another matter.
func TestKeptAnswersAreOfOneRoute(t *testing.T) {
	t.Parallel()
	page := func(text string) *uwsgitest.Worker {
		return scripted(t, map[string]string{"/x": ok(text, "Cache-Control: max-age=60")})
	}
	main, beta := page("main"), page("beta")
	conf := fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
pools:
  main: {members: [%q]}
  beta: {members: [%q]}
sites:
- http: serve
  routes:
  - {when: 'request.header["x-beta"] == "yes"', cache: true, pool: beta}
  - {cache: true, pool: main}
`, main.Addr(), beta.Addr())
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for _, row := range [][2]string{{"yes", "beta"}, {"no", "main"}, {"yes", "beta"}} {
		if got := c.Get("/x", "X-Beta: "+row[0]); got.Body != row[1] {
			t.Errorf("X-Beta: %s: got %q, %s", row[0], got.Body, got.Header.Get("Cache-Status"))
		}
	}
}

// TestKeptPageHasTheStatusOfTheError and what belongs to it, whichever error was the
// first.
func TestKeptPageHasTheStatusOfTheError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := scripted(t, map[string]string{
		"/sorry":    ok("sorry", "Cache-Control: max-age=60"),
		"/get1":     ok("", "X-Accel-Redirect: /shared/x", "Content-Disposition: attachment; filename=one", "Expires: Thu, 01 Jan 1970 00:00:00 GMT"),
		"/get2":     ok("", "X-Accel-Redirect: /shared/x", "Content-Disposition: attachment; filename=two", "Set-Cookie: a=2"),
		"/shared/x": ok("shared", "Cache-Control: max-age=60"),
	})
	conf := siteConf(w, "", fmt.Sprintf(`{path: /sorry, internal: true, cache: true, pool: app}, {path: /shared/, internal: true, cache: true, pool: app}, {path: /s/, files: %q, errors: {4xx: /sorry}}, {path: /m/, maintenance: on, errors: {503: /sorry}, pool: app}, {pool: app}`, dir))
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for range 2 {
		if got := c.Get("/s/x"); got.Code != 404 || got.Body != "sorry" {
			t.Errorf("no file: got %d %q %v", got.Code, got.Body, got.Header)
		}
		if got := c.Get("/m/x"); got.Code != 503 || got.Body != "sorry" || got.Header.Get("Retry-After") == "" {
			t.Errorf("maintenance: got %d %q %v", got.Code, got.Body, got.Header)
		}
		if got := c.Get("/get1"); got.Code != 200 || got.Body != "shared" || got.Header.Get("Content-Disposition") != "attachment; filename=one" {
			t.Errorf("get1: got %d %q %v", got.Code, got.Body, got.Header)
		}
		if got := c.Get("/get2"); got.Code != 200 || got.Body != "shared" || got.Header.Get("Content-Disposition") != "attachment; filename=two" || got.Header.Get("Set-Cookie") != "a=2" {
			t.Errorf("get2: got %d %q %v", got.Code, got.Body, got.Header)
		}
	}
}

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

// TestAccelLimitRateOfAFile: what the app says of the rate holds for the file that it
// leads to, which is what it is for.
func TestAccelLimitRateOfAFile(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": strings.Repeat("x", 30_000)})
	w := scripted(t, map[string]string{"/get": ok("", "X-Accel-Redirect: /protected/a", "X-Accel-Limit-Rate: 10000")})
	conf := siteConf(w, "", fmt.Sprintf(`{path: /protected/, internal: true, files: %q}, {pool: app}`, dir))
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H1)
	begun := time.Now()
	if got := c.Get("/get"); got.Code != 200 || len(got.Body) != 30_000 || time.Since(begun) < time.Second {
		t.Errorf("got %d, %d bytes after %v", got.Code, len(got.Body), time.Since(begun))
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

// TestKeptWhileItComes: a client gets its answer while the app makes it, by another
// goroutine than that which asks the app.
func TestKeptWhileItComes(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=60\r\nETag: \"v\"\r\nContent-Length: 8\r\n\r\nabcd")
		<-time.After(20 * time.Millisecond)
		c.Send("efgh")
	})
	conf := siteConf(w, `security: strict, compress: true, server_timing: on, cors: {origins: ["https://a.example"]}`, `{cache: true, headers: {request: {set: {X-A: b}}, response: {set: {X-Q: {cel: 'request.header["x-q"]'}}}}, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for i := range 10 {
			path := fmt.Sprintf("/%s/%d", c.Protocol, i)
			if got := c.Get(path, "X-Q: 1", `If-None-Match: "v"`, "Accept-Encoding: br, gzip"); got.Code != 304 {
				t.Errorf("a client that has it: got %d %q", got.Code, got.Body)
			}
			if got := c.Get(path+"r", "X-Q: 1", `Range: bytes=1-2`); got.Code != 206 && got.Code != 200 {
				t.Errorf("a range: got %d %q", got.Code, got.Body)
			}
			if got := c.Get(path+"n", "X-Q: 1", "Origin: https://a.example", "Accept-Encoding: br, gzip"); got.Code != 200 || got.Body != "abcdefgh" || got.Header.Get("X-Q") != "1" {
				t.Errorf("got %d %q %v", got.Code, got.Body, got.Header)
			}
		}
	})
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
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + strings.Repeat("x", 3_000_000))
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
			io.WriteString(rw, strings.Repeat("x", 3_000_000))
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
  - {path: /pool/, forward_auth: {pool: auth, timeout: 500ms}, pool: app}
  - {path: /url/, forward_auth: {url: %q, timeout: 500ms}, pool: app}
`, app.Addr(), w.Addr(), outside.URL)
	g := gatewaytest.Start(t, conf)
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H3} {
		c := g.Client(t, p)
		for _, row := range []struct{ name, pool, url string }{
			{"silent", "502 504", "502 504"},
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
				for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
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

// TestRewrittenQueryReachesHTTPMembers as it does others.
func TestRewrittenQueryReachesHTTPMembers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); r.URL.Path == "/accel" && to != "" {
			rw.Header().Set("X-Accel-Redirect", to)
			return
		}
		io.WriteString(rw, r.URL.RequestURI())
	}))
	defer server.Close()
	conf := gatewaytest.Conf{Members: []string{strings.TrimPrefix(server.URL, "http://")}, Pool: "protocol: http", Routes: `{path: /a/, rewrite: {path: /b$path, query: "was=$query"}, pool: app}, {path: /none/, rewrite: {query: "off"}, pool: app}, {path: /again/, rewrite: {path: /c/x, query: "n=1"}}, {pool: app}`}
	c := gatewaytest.Start(t, conf.String()).Client(t, gatewaytest.H2)
	for path, want := range map[string]string{"/a/x?q=1": "/b/a/x?was=q%3D1", "/none/x?q=1": "/none/x", "/again/x?q=2": "/c/x?n=1", "/accel?to=/else/x%3Fn=2": "/else/x?n=2", "/plain?q=1": "/plain?q=1"} {
		if got := c.Get(path); got.Body != want {
			t.Errorf("%s: the member was asked for %q, want %q", path, got.Body, want)
		}
	}
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

// TestConnectionAfterLedElsewhere: what was not read of one request is not the next.
func TestConnectionAfterLedElsewhere(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "file"})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		if r.Var("PATH_INFO") == "/get" {
			c.Send(ok("", "X-Accel-Redirect: /protected/a"))
			return
		}
		c.Send(ok(told(r)))
	})
	conf := siteConf(w, "", fmt.Sprintf(`{path: /protected/, internal: true, files: %q}, {path: /s/, files: %q}, {path: /closed, access: {deny: [127.0.0.0/8]}, errors: {403: /protected/a}, pool: app}, {path: /mirrored, mirror: app, pool: app}, {request_body: stream, pool: app}`, dir, dir))
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H1)
	for _, path := range []string{"/get", "/s/a", "/closed", "/mirrored", "/x"} {
		conn, err := c.Dial()
		if err != nil {
			t.Fatal(err)
		}
		smuggled := "GET /smuggled HTTP/1.1\r\nHost: " + gatewaytest.Host + "\r\nX-Request-Id: smuggled\r\n\r\n"
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%sGET /last HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, gatewaytest.Host, len(smuggled), smuggled, gatewaytest.Host)
		var b bytes.Buffer
		_, err = copyAll(&b, conn)
		conn.Close()
		if strings.Contains(b.String(), "/smuggled") || strings.Count(b.String(), "HTTP/1.1 ") > 2 {
			t.Errorf("%s: got %q, %v", path, b.String(), err)
		}
	}
	until(t, "nothing is under way", func() bool { return inFlight(g) == 0 })
	for _, r := range w.Requests() {
		if r.Var("PATH_INFO") == "/smuggled" {
			t.Error("the app got what was in a body")
		}
	}
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

// TestManyAreLedElsewhere at once, through a cache that makes them wait for each
// other.
func TestManyAreLedElsewhere(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "file"})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			<-time.After(10 * time.Millisecond)
			c.Send(ok("", "X-Accel-Redirect: /protected/a", "Cache-Control: max-age=60"))
		}
	})
	conf := siteConf(w, "compress: true, security: basic", fmt.Sprintf(`{path: /protected/, internal: true, cache: true, files: %q}, {cache: true, pool: app}`, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for _, method := range []string{"GET", "HEAD"} {
					if got, err := c.Try(c.Request(method, "/x", nil)); err != nil || got.Code != 200 || method == "GET" && got.Body != "file" || got.Length != 4 {
						t.Errorf("%s: got %+v, %v", method, got, err)
					}
				}
			})
		}
		all.Wait()
		until(t, "nothing is under way", func() bool { return inFlight(c.Gateway) == 0 })
	})
}

// TestShortenedFileIsCut: half an answer never looks whole, and its connection is not
// used again.
func TestShortenedFileIsCut(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", "compress: true, ", "bandwidth: 1GiB, ", "cache: true, ", "security: strict, compress: true, cache: true, "} {
		t.Run(more, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{"a.txt": strings.Repeat("a line of text\n", 4<<20)})
			g := gatewaytest.Start(t, gatewaytest.Conf{Routes: fmt.Sprintf(`{path: /ok, respond: {body: fine}}, {path: /s/, %sfiles: %q}`, more, dir)}.String())
			for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H1S, gatewaytest.H2, gatewaytest.H3} {
				c := g.Client(t, p)
				name := dir + "/" + p.String() + ".txt"
				if err := os.Link(dir+"/a.txt", name); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, b, 0o644); err != nil {
					t.Fatal(err)
				}
				r := c.Request("GET", "/s/"+p.String()+".txt", nil)
				resp, err := c.Open(r)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(name, 1000); err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if strings.Contains(more, "cache") && err == nil && n == 60<<20 {
					continue // it was in the cache by then
				}
				if err == nil {
					t.Errorf("%s: %d of %d bytes came, and that looks like all", p, n, 60<<20)
				}
				if got := c.Get("/ok"); got.Body != "fine" {
					t.Errorf("%s: then %+v", p, got)
				}
				line := g.Request(r.Header.Get("X-Request-Id"))
				if !strings.HasPrefix(line.Text("err"), "a file became shorter") || line["aborted"] != true {
					t.Errorf("%s: the access log has %v", p, line)
				}
			}
			until(t, "nothing is under way", func() bool { return inFlight(g) == 0 })
		})
	}
}

// TestMirrorThatHangs keeps nobody waiting, neither clients nor the end.
func TestMirrorThatHangs(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	shadow := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			<-hold
		}
	})
	app := scripted(t, nil)
	conf := fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
pools:
  app: {members: [%q]}
  shadow: {members: [%q]}
sites:
- http: serve
  routes: [{mirror: shadow, pool: app}]
`, app.Addr(), shadow.Addr())
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H2)
	body := strings.Repeat("x", 300_000)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range 30 {
				if got, err := c.Try(c.Request("POST", "/x", strings.NewReader(body))); err != nil || !strings.HasSuffix(got.Body, "body=300000") {
					t.Errorf("got %+v, %v", got, err)
				}
			}
		})
	}
	all.Wait()
	begun := time.Now()
	g.Shutdown()
	wait(t, g.Ended(), "the end")
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// TestPagesOfRefusedBodies: the connection is closed after them, and HEAD has the
// header of GET.
func TestPagesOfRefusedBodies(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"413.html": "<h1>too much</h1>", "413.tmpl": "<p>{{.Cause}}</p>", "big.html": strings.Repeat("x", 2000)})
	w := scripted(t, map[string]string{"/page": ok("<h1>too much</h1>"), "/huge": ok(strings.Repeat("x", 3<<20)), "/fails": "garbage", "/led": ok("", "X-Accel-Redirect: /pages/413.html")})
	conf := siteConf(w, "limits: {body: 10}", fmt.Sprintf(`{path: /pages/, internal: true, files: %q},
	  {path: /path, errors: {413: /pages/413.html, 404: /pages/413.html}, routes: [{path: /path/none, files: %q}], pool: app}, {path: /file, errors: {4xx: {file: %q}}, pool: app},
	  {path: /pool, errors: {4xx: {pool: app, path: /page}}, pool: app}, {path: /huge, errors: {4xx: {pool: app, path: /huge}}, pool: app}, {path: /fails, errors: {4xx: {pool: app, path: /fails}}, pool: app},
	  {path: /led, errors: {4xx: {pool: app, path: /led}}, pool: app}, {path: /tmpl/, errors: {4xx: {template: %q}}, access: {deny: [127.0.0.0/8]}, pool: app}, {path: /nowhere, errors: {4xx: /none, 5xx: /none}, pool: app}`, dir, dir, dir+"/413.html", dir+"/413.tmpl"))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for _, path := range []string{"/path", "/file", "/pool", "/huge", "/fails", "/led", "/nowhere"} {
			got := c.Post(path, strings.Repeat("x", 100))
			if got.Code != 413 || got.BodyErr != nil || c.Protocol.Major() == 1 && !got.Close {
				t.Errorf("%s: got %+v", path, got)
			}
			if plain := path == "/huge" || path == "/fails" || path == "/led" || path == "/nowhere"; plain == (got.Body == "<h1>too much</h1>") {
				t.Errorf("%s: got %.100q", path, got.Body)
			}
			if line := c.Gateway.Request(got.ID); line.Number("status") != 413 || line.Number("bytes_out") != float64(len(got.Body)) || line.Text("err") == "" {
				t.Errorf("%s: the access log has %v", path, line)
			}
			head := c.Do(c.Request("HEAD", path+"?x", nil))
			if head.Body != "" {
				t.Errorf("HEAD %s: got %+v", path, head)
			}
		}
		for _, path := range []string{"/path/none/x", "/path/none/y/z"} {
			get, head := c.Get(path), c.Do(c.Request("HEAD", path, nil))
			if get.Code != 404 || head.Code != 404 || head.Body != "" || head.Length != get.Length {
				t.Errorf("%s: got %+v and %+v", path, get, head)
			}
		}
		if got := c.Get("/tmpl/%3Cscript%3E"); strings.Contains(got.Body, "<script>") {
			t.Errorf("got %q", got.Body)
		}
	})
}

// TestRefreshAside: what is fetched in the background has nothing of the request that
// began it when that is over.
func TestRefreshAside(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	w := flaky(t, func(r *uwsgitest.Request) string {
		<-time.After(5 * time.Millisecond)
		return ok(fmt.Sprintf("%s|%s", r.Var("PATH_INFO"), r.Var("HTTP_X_SAME")), "Cache-Control: max-age=0, stale-while-revalidate=600", fmt.Sprintf(`ETag: "%d"`, n.Add(1)))
	})
	conf := siteConf(w, "compress: true, security: basic, errors: {5xx: /none}", `{cache: true, mirror: {pool: app, percent: 50}, headers: {request: {set: {X-Same: {cel: request.path}}}}, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 25 {
					path := fmt.Sprintf("/%d", (i+j)%5)
					if got, err := c.Try(c.Request("GET", path, nil, "X-Pad: "+strings.Repeat("y", j*20))); err != nil || got.Body != path+"|"+path {
						t.Errorf("%s: got %+v, %v", path, got, err)
					}
				}
			})
		}
		all.Wait()
		if err := c.Gateway.ReloadWith(conf); err != nil {
			t.Error(err)
		}
	})
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
	if got := c.Get("/x"); got.Code != 502 {
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

// TestKeptAnswersOfNestedRoutes are those of their conditions.
func TestKeptAnswersOfNestedRoutes(t *testing.T) {
	t.Parallel()
	w := flaky(t, func(r *uwsgitest.Request) string {
		return ok(r.Var("HTTP_X_KIND"), "Cache-Control: max-age=60")
	})
	conf := siteConf(w, "", `{when: 'request.header["x-beta"] == "yes"', headers: {request: {set: {X-Kind: beta}}}, routes: [{path: /x, cache: true, pool: app}]},
	  {when: 'request.header["x-beta"] != "yes"', headers: {request: {set: {X-Kind: main}}}, routes: [{path: /x, cache: true, pool: app}]}`)
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for _, row := range [][2]string{{"yes", "beta"}, {"no", "main"}, {"yes", "beta"}, {"no", "main"}} {
		if got := c.Get("/x", "X-Beta: "+row[0]); got.Body != row[1] {
			t.Errorf("X-Beta: %s: got %q, %s", row[0], got.Body, got.Header.Get("Cache-Status"))
		}
	}
}

// TestKeptAnswersOfASplit are of the pool that a client was given to.
func TestKeptAnswersOfASplit(t *testing.T) {
	t.Parallel()
	page := func(text string) *uwsgitest.Worker {
		return scripted(t, map[string]string{"/x": ok(text, "Cache-Control: max-age=60")})
	}
	main, canary := page("main"), page("canary")
	g, err := gatewaytest.Try(t, fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
pools:
  main: {members: [%q]}
  canary: {members: [%q]}
sites:
- http: serve
  routes: [{cache: true, split: {pools: [{pool: main, weight: 1}, {pool: canary, weight: 1}]}}]
`, main.Addr(), canary.Addr()))
	if err != nil {
		t.Skip("it is refused: ", err)
	}
	c := g.Client(t, gatewaytest.H2)
	for _, pool := range []string{"main", "canary", "main"} {
		if got := c.Get("/x", "Cookie: headgate_split="+pool); got.Body != pool {
			t.Errorf("a client of %s: got %q, %s", pool, got.Body, got.Header.Get("Cache-Status"))
		}
	}
}

// TestPageOfTooManyAtOnce by path, where the limit is that of the site.
func TestPageOfTooManyAtOnce(t *testing.T) {
	t.Parallel()
	hold, begun := make(chan struct{}), make(chan struct{}, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			begun <- struct{}{}
			<-hold
			c.Send(answerOK)
		}
	})
	dir := tree(t, map[string]string{"429.html": "slow down"})
	conf := siteConf(w, "in_flight: 1, errors: {429: /pages/429.html}", fmt.Sprintf(`{path: /pages/, internal: true, files: %q}, {pool: app}`, dir))
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H2)
	var first sync.WaitGroup
	first.Go(func() {
		if got, err := c.Try(c.Request("GET", "/x", nil)); err != nil || got.Code != 200 {
			t.Errorf("the first: got %+v, %v", got, err)
		}
	})
	wait(t, begun, "the first request")
	for range 3 {
		if got := c.Get("/x"); got.Code != 429 || got.Body != "slow down" {
			t.Errorf("got %d %q", got.Code, got.Body)
		}
	}
	close(hold)
	first.Wait()
	until(t, "nothing is under way", func() bool { return inFlight(g) == 0 })
	if got := c.Get("/x"); got.Code != 200 {
		t.Errorf("later: got %d", got.Code)
	}
}
