package gateway_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
