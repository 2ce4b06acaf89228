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
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

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
