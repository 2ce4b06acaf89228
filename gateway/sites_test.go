package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"headgate/gateway/filter/access"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
	"headgate/upstream/uwsgi/uwsgitest"
)

// site is a scripted app: what answers has for a path, else what the app was told.
func scripted(t *testing.T, answers map[string]string) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		if answer, ok := answers[r.Var("PATH_INFO")]; ok {
			c.Send(answer)
			return
		}
		c.Send(ok(told(r)))
	})
}

// told is what the app was told of a request.
func told(r *uwsgitest.Request) string {
	return fmt.Sprintf("%s script=%q path=%q query=%q uri=%q user=%q body=%d", r.Var("REQUEST_METHOD"), r.Var("SCRIPT_NAME"), r.Var("PATH_INFO"), r.Var("QUERY_STRING"), r.Var("REQUEST_URI"), r.Var("REMOTE_USER"), len(r.Body))
}

func ok(body string, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n%s\r\n%s", len(body), strings.Join(append(fields, ""), "\r\n"), body)
}

// tree makes files below a new directory.
func tree(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// siteConf is a site before a scripted app, with routes and more keys of the site.
func siteConf(w *uwsgitest.Worker, site, routes string) string {
	c := before(w)
	c.Site, c.Routes = site, routes
	return c.String()
}

func TestFilesBeforeThePool(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	dir := tree(t, map[string]string{"css/site.css": "body{}", "index.html": "home", "docs/index.html": "docs", "big.bin": big, "a b.txt": "space"})
	w := scripted(t, nil)
	conf := siteConf(w, "", fmt.Sprintf(`{path: /static/, files: %q}, {files: %q, pool: app}`, dir, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for path, want := range map[string]string{
			"/static/css/site.css": "200 body{}", "/static/a%20b.txt": "200 space", "/static/": "200 home", "/static/docs": "301 ", "/static/none": "404 *",
			"/": "200 home", "/docs/": "200 docs", "/css/site.css": "200 body{}", "/big.bin": "200 " + big,
			"/page?a=b": `200 GET script="" path="/page" query="a=b" uri="/page?a=b" user="" body=0`,
		} {
			got := c.Get(path)
			body := got.Body
			if strings.HasSuffix(want, "*") {
				body = "*"
			}
			if all := fmt.Sprintf("%d %s", got.Code, body); all != want || got.BodyErr != nil {
				t.Errorf("%s: got %.200q, %v, want %.200q", path, all, got.BodyErr, want)
			}
		}
		if got := c.Get("/static/docs?x=1"); got.Header.Get("Location") != "/static/docs/?x=1" {
			t.Errorf("a directory leads to %q", got.Header.Get("Location"))
		}
		if got := c.Post("/static/css/site.css", "x"); got.Code != 405 || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST to a file: got %d, Allow %q", got.Code, got.Header.Get("Allow"))
		}
		if got := c.Post("/css/site.css", "x"); !strings.Contains(got.Body, `POST script="" path="/css/site.css"`) {
			t.Errorf("POST where a pool is behind the files: got %d %q", got.Code, got.Body)
		}
		etag := c.Get("/big.bin").Header.Get("ETag")
		if got := c.Get("/big.bin", "If-None-Match: "+etag); got.Code != 304 || got.Body != "" {
			t.Errorf("a file that has not changed: got %d", got.Code)
		}
		if got := c.Get("/big.bin", "Range: bytes=100000-100003"); got.Code != 206 || got.Body != big[100000:100004] {
			t.Errorf("a range: got %d %q", got.Code, got.Body)
		}
		if got := c.Do(c.Request("HEAD", "/big.bin", nil)); got.Length != 1<<20 || got.Body != "" {
			t.Errorf("HEAD: got %d bytes announced, %d sent", got.Length, len(got.Body))
		}
	})
}

func TestRoutesByMethodConditionAndNesting(t *testing.T) {
	t.Parallel()
	w := scripted(t, nil)
	conf := siteConf(w, "", `
    {path: /admin/, when: 'request.header["x-staff"] != "yes"', respond: {status: 403, body: staff only}},
    {path: /api/, method: [GET, POST], routes: [
      {path: /api/v1/, method: POST, respond: {body: v1 changes}},
      {path: "~^/api/u/(?P<who>[a-z]+)$", redirect: {to: "/users/$who?by=api", status: 302}}], pool: app},
    {path: /only/, method: DELETE, respond: {body: gone}},
    {path: "~^/old/(.*)$", redirect: {to: "https://$host/new/$1", status: 301}},
    {path: /bad/, when: 'int(request.header["x-n"]) > 1', respond: {body: big}},
    {path: /moved/, rewrite: {path: "/api$path", query: "was=$query"}},
    {mount: /blog, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for _, row := range []struct{ method, path, header, want, location string }{
			{"GET", "/admin/x", "", "403 staff only", ""},
			{"GET", "/admin/x", "X-Staff: yes", "404", ""},
			{"POST", "/api/v1/x", "", "200 v1 changes", ""},
			{"GET", "/api/v1/x", "", `200 GET script="" path="/api/v1/x"`, ""},
			{"DELETE", "/api/v1/x", "", "405", ""},
			{"GET", "/api/u/eve", "", "302", "/users/eve?by=api"},
			{"GET", "/only/x", "", "405", ""},
			{"DELETE", "/only/x", "", "200 gone", ""},
			{"GET", "/old/a%20b%0d%0ac?q=1", "", "301", "https://HOST/new/a%20b%0D%0Ac?q=1"},
			{"GET", "/bad/x", "X-N: 2", "200 big", ""},
			{"GET", "/bad/x", "X-N: 1", "404", ""},
			{"GET", "/bad/x", "X-N: many", "400", ""},
			{"GET", "/moved/x?a=b", "", `200 GET script="" path="/api/moved/x" query="was=a%3Db" uri="/moved/x?a=b"`, ""},
			{"GET", "/blog/x", "", `200 GET script="/blog" path="/x"`, ""},
			{"GET", "/blogger", "", "404", ""},
		} {
			var header []string
			if row.header != "" {
				header = append(header, row.header)
			}
			got := c.Do(c.Request(row.method, row.path, nil, header...))
			if all := fmt.Sprintf("%d %s", got.Code, got.Body); !strings.HasPrefix(all, row.want) {
				t.Errorf("%s %s: got %.200q, want %q", row.method, row.path, all, row.want)
			}
			if want := strings.ReplaceAll(row.location, "HOST", gatewaytest.Host); want != got.Header.Get("Location") {
				t.Errorf("%s %s: leads to %q, want %q", row.method, row.path, got.Header.Get("Location"), want)
			}
		}
		if got := c.Get("/only/x"); got.Header.Get("Allow") != "DELETE" {
			t.Errorf("405: Allow is %q", got.Header.Get("Allow"))
		}
	})
}

func TestAppLeadsElsewhere(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"report.pdf": "secret", "x y.txt": "spaced"})
	redirect := func(to string, more ...string) string {
		return ok("not this", append(more, "X-Accel-Redirect: "+to)...)
	}
	w := scripted(t, map[string]string{
		"/get":   strings.Replace(redirect("/protected/report.pdf", "Content-Disposition: attachment", "Set-Cookie: a=1", "X-Secret: no", "Cache-Control: private"), "text/html", "application/x-report", 1),
		"/get2":  redirect("/protected/x%20y.txt?a=b"),
		"/up":    redirect("/protected/../../etc/passwd"),
		"/loop":  redirect("/loop"),
		"/none":  redirect("/protected/none"),
		"/app":   redirect("/other?n=1"),
		"/send":  ok("not this", "X-Sendfile: "+dir+"/report.pdf"),
		"/send2": ok("not this", "X-Sendfile: /etc/passwd"),
		"/send3": ok("not this", "X-Sendfile: "+dir+"/../../../etc/passwd"),
		"/range": redirect("/protected/report.pdf"),
	})
	conf := siteConf(w, "", fmt.Sprintf(`{path: /protected/, internal: true, files: %q}, {pool: app, sendfile: [%q]}`, dir, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		got := c.Get("/get")
		if got.Code != 200 || got.Body != "secret" || got.Header.Get("Content-Type") != "application/x-report" || got.Header.Get("Content-Disposition") != "attachment" ||
			got.Header.Get("Set-Cookie") != "a=1" || got.Header.Get("X-Secret") != "" || got.Header.Get("Cache-Control") != "private" || got.Header.Get("ETag") == "" || got.Header.Get("X-Accel-Redirect") != "" {
			t.Errorf("got %d %q %v", got.Code, got.Body, got.Header)
		}
		if got := c.Post("/get", "some body"); got.Code != 200 || got.Body != "secret" {
			t.Errorf("after POST: got %d %q", got.Code, got.Body)
		}
		if got := c.Get("/range", "Range: bytes=1-2"); got.Code != 206 || got.Body != "ec" {
			t.Errorf("a range: got %d %q", got.Code, got.Body)
		}
		for path, want := range map[string]string{
			"/get2": "200 spaced", "/up": "404", "/loop": "500", "/none": "404", "/protected/report.pdf": "404", "/protected/none": "404",
			"/app":  `200 GET script="" path="/other" query="n=1" uri="/app"`,
			"/send": "200 secret", "/send2": "404", "/send3": "404",
		} {
			got := c.Get(path)
			if all := fmt.Sprintf("%d %s", got.Code, got.Body); !strings.HasPrefix(all, want) {
				t.Errorf("%s: got %.200q, want %q", path, all, want)
			}
		}
	})
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"404.html": "<h1>lost</h1>", "oops.tmpl": "<p>{{.Status}} {{.Title}} {{.Request}}</p>", "forbidden.html": "<h1>no</h1>"})
	w := scripted(t, map[string]string{
		"/app404": "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\napp", "/bad": "garbage",
		"/pages/403": ok("asked of the app"),
	})
	conf := siteConf(w, "", fmt.Sprintf(`{path: /pages/, internal: true, files: %q}, {path: /sorry/, internal: true, pool: app},
    {path: /closed, access: {allow: [192.0.2.1]}, errors: {403: {pool: app, path: /pages/403}}, pool: app},
    {path: /mine/, errors: {404: {path: /pages/404.html, app: true}}, rewrite: {path: /app404}, pool: app},
    {path: /static/, files: %q}, {path: "~^/(app404|bad|x)", pool: app}`, dir, dir)) +
		"\n"
	conf = strings.Replace(conf, "http: serve", fmt.Sprintf("http: serve, errors: {404: /pages/404.html, 5xx: {template: %q}}", dir+"/oops.tmpl"), 1)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		for path, want := range map[string]string{
			"/none": "404 <h1>lost</h1>", "/static/none": "404 <h1>lost</h1>", "/app404": "404 app", "/mine/x": "404 <h1>lost</h1>",
			"/bad": "502 <p>502 Bad Gateway ", "/closed": "403 asked of the app", "/pages/404.html": "404 <h1>lost</h1>",
		} {
			got := c.Get(path)
			if all := fmt.Sprintf("%d %s", got.Code, got.Body); !strings.HasPrefix(all, want) {
				t.Errorf("%s: got %.200q, want %q", path, all, want)
			}
			if path != "/app404" && got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: a page of an error may be cached: %q", path, got.Header.Get("Cache-Control"))
			}
		}
	})
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"down.html": "back soon"})
	w := scripted(t, nil)
	flag := filepath.Join(t.TempDir(), "down")
	conf := siteConf(w, fmt.Sprintf(`maintenance: {flag: %q, file: %q, retry_after: 2m, except: 'request.path == "/health"'}`, flag, dir+"/down.html"), `{path: /health, respond: {body: fine}}, {path: /x, pool: app}`)
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H2)
	check := func(on bool) {
		t.Helper()
		want := map[bool]string{true: "503 back soon", false: "200 GET"}[on]
		if got := c.Get("/x"); !strings.HasPrefix(fmt.Sprintf("%d %s", got.Code, got.Body), want) || on != (got.Header.Get("Retry-After") == "120") {
			t.Errorf("got %d %q, Retry-After %q, want %q", got.Code, got.Body, got.Header.Get("Retry-After"), want)
		}
		if got := c.Get("/none"); on != (got.Code == 503) {
			t.Errorf("where there is no route: got %d", got.Code)
		}
		if got := c.Get("/health"); got.Code != 200 {
			t.Errorf("what is let through: got %d", got.Code)
		}
	}
	check(false)
	name := g.Snapshot().Sites[slices.IndexFunc(g.Snapshot().Sites, func(s stats.Site) bool { return s.Name != "-" })].Name
	for _, on := range []bool{true, true, false} {
		if _, err := g.SetMaintenance(name, on); err != nil {
			t.Fatal(err)
		}
		check(on)
	}
	if _, err := g.SetMaintenance("nobody.example", true); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("a site that there is not: got %v", err)
	}
}

func TestAccessAndPasswords(t *testing.T) {
	t.Parallel()
	hash, err := access.HashPassword("open sesame", "bcrypt")
	if err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(tree(t, map[string]string{"passwords": "ali:" + hash + "\n"}), "passwords")
	w := scripted(t, nil)
	conf := siteConf(w, `security: strict, cors: {origins: ["https://app.example.com"], credentials: true}`, fmt.Sprintf(`{path: /inner/, access: {deny: [127.0.0.0/8]}, pool: app},
    {path: /cave/, basic_auth: {file: %q, realm: cave}, pool: app}, {path: /change/, cross_origin: on, pool: app}, {path: /images/, body_types: image/*, pool: app},
    {path: /rated/, rate_limit: {rate: 2/h, name: few}, pool: app}, {path: /said/, headers: {request: {set: {X-Path: {cel: request.path}}, remove: [Cookie]}, response: {add: {X-By: gate}, remove: [Content-Type]}}, pool: app}`, passwords))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		if got := c.Get("/inner/x"); got.Code != 403 || got.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("an address that may not come: got %d %v", got.Code, got.Header)
		}
		got := c.Get("/cave/x")
		if got.Code != 401 || got.Header.Get("WWW-Authenticate") != `Basic realm="cave", charset="UTF-8"` || strings.Contains(got.Body, "cave/x") {
			t.Errorf("without a password: got %d %v", got.Code, got.Header)
		}
		r := c.Request("GET", "/cave/x", nil)
		r.SetBasicAuth("ali", "open sesame")
		if got := c.Do(r); got.Code != 200 || !strings.Contains(got.Body, `user="ali"`) {
			t.Errorf("with the password: got %d %q", got.Code, got.Body)
		}
		r.SetBasicAuth("ali", "open barley")
		if got := c.Do(r); got.Code != 401 {
			t.Errorf("with another password: got %d", got.Code)
		}
		if got := c.Post("/change/x", "x", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"); got.Code != 403 {
			t.Errorf("a change by another origin: got %d", got.Code)
		}
		if got := c.Post("/images/x", "x", "Content-Type: text/plain"); got.Code != 415 {
			t.Errorf("a body of another type: got %d", got.Code)
		}
		if got := c.Post("/images/x", "x", "Content-Type: image/png"); got.Code != 200 {
			t.Errorf("a body of the type: got %d", got.Code)
		}
		got = c.Do(c.Request("OPTIONS", "/cave/x", nil, "Origin: https://app.example.com", "Access-Control-Request-Method: PUT"))
		if got.Code != 204 || got.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || got.Header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("a preflight: got %d %v", got.Code, got.Header)
		}
		got = c.Get("/said/x", "Cookie: a=b")
		if got.Header.Get("X-By") != "gate" || got.Header["Content-Type"] != nil {
			t.Errorf("changed header: got %v", got.Header)
		}
		sent := w.Requests()[len(w.Requests())-1]
		if sent.Var("HTTP_X_PATH") != "/said/x" || sent.Var("HTTP_COOKIE") != "" {
			t.Errorf("the app was told X-Path %q and Cookie %q", sent.Var("HTTP_X_PATH"), sent.Var("HTTP_COOKIE"))
		}
	})
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H3)
	for i, want := range []int{200, 200, 429} {
		got := c.Get("/rated/x")
		if got.Code != want || want == 429 && got.Header.Get("Retry-After") == "" || got.Header.Get("RateLimit") == "" {
			t.Errorf("request %d: got %d %v, want %d", i+1, got.Code, got.Header, want)
		}
	}
}

func TestForwardAuth(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		switch {
		case r == nil:
		case r.Var("PATH_INFO") != "/auth":
			c.Send(ok("for " + r.Var("HTTP_REMOTE_NAME") + "|" + told(r)))
		case r.Var("HTTP_X_FORWARDED_METHOD") == "" || !strings.HasPrefix(r.Var("HTTP_X_FORWARDED_URI"), "/in/") || r.Var("CONTENT_LENGTH") != "" && r.Var("CONTENT_LENGTH") != "0":
			c.Send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
		case r.Var("HTTP_COOKIE") == "session=good":
			c.Send(ok("", "Remote-Name: eve"))
		default:
			c.Send("HTTP/1.1 302 Found\r\nLocation: /login\r\nSet-Cookie: next=1\r\nContent-Length: 5\r\n\r\nlogin")
		}
	})
	outside := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-Forwarded-Uri") != "/out/x" || len(body) > 0 {
			rw.WriteHeader(500)
			return
		}
		rw.Header().Set("Remote-Name", "outside")
	}))
	defer outside.Close()
	conf := siteConf(w, "", fmt.Sprintf(`{path: /in/, forward_auth: {pool: app, path: /auth, headers: [Remote-Name]}, pool: app}, {path: /out/, forward_auth: {url: %q, headers: [Remote-Name]}, pool: app}`, outside.URL))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		got := c.Get("/in/x", "Remote-Name: admin")
		if got.Code != 302 || got.Header.Get("Location") != "/login" || got.Header.Get("Set-Cookie") != "next=1" || got.Body != "login" {
			t.Errorf("refused: got %d %q %v", got.Code, got.Body, got.Header)
		}
		got = c.Post("/in/x", "some body", "Cookie: session=good", "Remote-Name: admin")
		if got.Code != 200 || !strings.HasPrefix(got.Body, "for eve|POST") || !strings.HasSuffix(got.Body, "body=9") {
			t.Errorf("let in: got %d %q", got.Code, got.Body)
		}
		if got := c.Get("/out/x", "Remote-Name: admin", "If-None-Match: x"); got.Code != 200 || !strings.HasPrefix(got.Body, "for outside|") {
			t.Errorf("by a URL: got %d %q", got.Code, got.Body)
		}
		if got := c.Get("/out/y"); got.Code != 502 {
			t.Errorf("who is asked fails: got %d", got.Code)
		}
	})
}

func TestSplitAndMirror(t *testing.T) {
	t.Parallel()
	main, canary, shadow := scripted(t, nil), scripted(t, nil), scripted(t, nil)
	conf := fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
pools:
  main: {members: [%q]}
  canary: {members: [%q]}
  shadow: {members: [%q]}
sites:
- http: serve
  routes:
  - {path: /s/, split: {pools: [{pool: main, weight: 3}, {pool: canary, weight: 1}]}}
  - {pool: main, mirror: shadow}
`, main.Addr(), canary.Addr(), shadow.Addr())
	g := gatewaytest.Start(t, conf)
	c := g.Client(t, gatewaytest.H2)
	seen := map[string]int{}
	for range 200 {
		got := c.Get("/s/x")
		name, _, _ := strings.Cut(strings.TrimPrefix(got.Header.Get("Set-Cookie"), "headgate_split="), ";")
		seen[name]++
		for range 2 {
			before := len(canary.Requests())
			again := c.Get("/s/x", "Cookie: headgate_split="+name)
			if (len(canary.Requests()) > before) != (name == "canary") || again.Header.Get("Set-Cookie") != "" {
				t.Fatalf("a client of %s went elsewhere, or got another cookie: %v", name, again.Header)
			}
		}
	}
	if seen["main"] < 100 || seen["canary"] < 20 || len(seen) != 2 {
		t.Errorf("the shares are %v", seen)
	}
	body := strings.Repeat("x", 100_000)
	for range 20 {
		if got := c.Post("/m/x", body); got.Code != 200 {
			t.Fatalf("got %d", got.Code)
		}
	}
	until(t, "the copies are there", func() bool { return len(shadow.Requests()) == 20 })
	for _, r := range shadow.Requests() {
		if len(r.Body) != len(body) || r.Var("REQUEST_METHOD") != "POST" || r.Var("PATH_INFO") != "/m/x" {
			t.Errorf("a copy is not one: %s", told(r))
		}
	}
}

func TestCacheAndCompression(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("<p>the same again and again</p>", 700)
	w := scripted(t, map[string]string{
		"/kept": ok(page, "Cache-Control: public, max-age=60", `ETag: "v1"`), "/own": ok(page, "Set-Cookie: a=1", "Cache-Control: max-age=60"), "/plain": ok(page),
		"/events": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n", "/accel": ok(page, "X-Accel-Expires: 60"),
	})
	conf := siteConf(w, "compress: true", `{path: "~^/(kept|own|accel)", cache: true, pool: app}, {pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		asked := func(path string, header ...string) (*gatewaytest.Response, int) {
			n := len(w.Requests())
			got := c.Get(path, header...)
			return got, len(w.Requests()) - n
		}
		c.Get("/kept?"+c.Protocol.String(), "Accept-Encoding: identity")
		got, n := asked("/kept?"+c.Protocol.String(), "Accept-Encoding: identity")
		if n != 0 || got.Body != page || !strings.HasPrefix(got.Header.Get("Cache-Status"), "Headgate; hit") || got.Header.Get("Age") == "" {
			t.Errorf("kept: the app was asked %d times; got %v", n, got.Header)
		}
		if got, n = asked("/kept?"+c.Protocol.String(), "Accept-Encoding: identity", `If-None-Match: "v1"`); n != 0 || got.Code != 304 {
			t.Errorf("kept and not changed: got %d, the app was asked %d times", got.Code, n)
		}
		c.Get("/kept?"+c.Protocol.String(), "Accept-Encoding: gzip, br")
		if got, n = asked("/kept?"+c.Protocol.String(), "Accept-Encoding: br;q=1, gzip;q=0.5"); n != 0 || got.Header.Get("Content-Encoding") != "br" || len(got.Body) >= len(page)/2 {
			t.Errorf("kept and compressed: the app was asked %d times; got %d bytes, %v", n, len(got.Body), got.Header)
		}
		c.Get("/own")
		if _, n = asked("/own"); n != 1 {
			t.Errorf("an answer with a cookie was kept")
		}
		c.Get("/accel?" + c.Protocol.String())
		if got, n = asked("/accel?" + c.Protocol.String()); n != 0 || got.Header.Get("X-Accel-Expires") != "" {
			t.Errorf("X-Accel-Expires: the app was asked %d times; got %v", n, got.Header)
		}
		for _, coding := range []string{"gzip", "br", "zstd"} {
			got := c.Get("/plain", "Accept-Encoding: "+coding)
			if got.Header.Get("Content-Encoding") != coding || len(got.Body) > len(page)/4 || got.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: got %d bytes, %v", coding, len(got.Body), got.Header)
			}
		}
		if got := c.Get("/events", "Accept-Encoding: gzip"); got.Body != "data: x\n\n" || got.Header.Get("Content-Encoding") != "" {
			t.Errorf("events: got %q %v", got.Body, got.Header)
		}
	})
}

// TestPreflightOfARouteOfOtherMethods: a preflight asks about the method that follows.
func TestPreflightOfARouteOfOtherMethods(t *testing.T) {
	t.Parallel()
	conf := siteConf(scripted(t, nil), "", `{path: /api/, method: PUT, cors: {origins: ["https://app.example.com"]}, pool: app}, {path: /own/, method: PUT, pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		ask := func(path, method string) *gatewaytest.Response {
			return c.Do(c.Request("OPTIONS", path, nil, "Origin: https://app.example.com", "Access-Control-Request-Method: "+method))
		}
		if got := ask("/api/x", "PUT"); got.Code != 204 || got.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("got %d %v", got.Code, got.Header)
		}
		for _, row := range [][2]string{{"/api/x", "DELETE"}, {"/api/x", ""}, {"/own/x", "PUT"}} {
			if got := ask(row[0], row[1]); got.Code != 405 {
				t.Errorf("%s of %s: got %d, want 405", row[1], row[0], got.Code)
			}
		}
	})
}

// TestAnswersOfSendfileHaveTheHeaders: the filters of answers stand before files that
// the app names, too.
func TestAnswersOfSendfileHaveTheHeaders(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a.html": strings.Repeat("<p>many words</p>", 300)})
	w := scripted(t, map[string]string{"/a": ok("", "X-Sendfile: "+dir+"/a.html"), "/none": ok("", "X-Sendfile: "+dir+"/none.html")})
	conf := siteConf(w, "security: basic, compress: on", fmt.Sprintf(`{path: /in/, internal: true, respond: {body: x}}, {pool: app, sendfile: [%q]}`, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		got := c.Get("/a", "Accept-Encoding: gzip")
		if got.Code != 200 || got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("got %d %v", got.Code, got.Header)
		}
		if got := c.Get("/none"); got.Code != 404 || !strings.Contains(got.Body, "X-Sendfile") || strings.Contains(got.Body, dir) {
			t.Errorf("a file that is not there: got %d %q", got.Code, got.Body)
		}
		inner, none := c.Get("/in/x"), c.Get("/in/x", "X-Forwarded-For: 192.0.2.1")
		if inner.Code != 404 || !strings.Contains(inner.Body, "is internal") || none.Code != 404 || strings.Contains(none.Body, "internal") {
			t.Errorf("an internal route: operators get %q, others %q", inner.Body, none.Body)
		}
	})
}

func TestPreflightSaysAll(t *testing.T) {
	t.Parallel()
	conf := siteConf(scripted(t, nil), `cors: {origins: ["https://app.example.com"], credentials: true}, security: basic`, `{pool: app}`)
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		got := c.Do(c.Request("OPTIONS", "/x", nil, "Origin: https://app.example.com", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a"))
		h := got.Header
		if got.Code != 204 || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PUT") || h.Get("Access-Control-Allow-Headers") != "x-a" || h.Get("Access-Control-Max-Age") != "600" ||
			h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || h.Get("Access-Control-Expose-Headers") != "" {
			t.Errorf("got %d %v", got.Code, h)
		}
	})
}

// TestStaleAnswerWhenTheAppIsSilent: who may give a stale answer for an error does not
// wait for an app that says nothing.
func TestStaleAnswerWhenTheAppIsSilent(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() == nil {
			return
		}
		if asked.Add(1) > 1 {
			c.WaitClosed()
			return
		}
		c.Send(ok("kept", "Cache-Control: max-age=0, stale-if-error=600", `ETag: "1"`))
	})
	conf := siteConf(w, "", `{cache: {lock: 300ms}, pool: app}`)
	c := gatewaytest.Start(t, conf).Client(t, gatewaytest.H2)
	for range 2 {
		if got := c.Get("/"); got.Code != 200 || got.Body != "kept" || got.BodyErr != nil {
			t.Errorf("got %d %q %v %v", got.Code, got.Body, got.BodyErr, got.Header)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("the app was asked %d times, want twice", asked.Load())
	}
}

// TestGuardsDoNotStandBeforePages: the page of an error of a site that everybody has to
// log in to is for those who have not.
func TestGuardsDoNotStandBeforePages(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"401.html": "<h1>log in</h1>"})
	conf := siteConf(scripted(t, map[string]string{"/auth": "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"}),
		`forward_auth: {pool: app, path: /auth}, errors: {502: /pages/401.html, 404: /nowhere.html}`,
		fmt.Sprintf(`{path: /pages/, internal: true, files: %q}, {path: /open/, forward_auth: off, files: %q}, {pool: app, path: /in/}`, dir, dir))
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		if got := c.Get("/in/x"); got.Code != 502 || got.Body != "<h1>log in</h1>" {
			t.Errorf("got %d %q", got.Code, got.Body)
		}
		if got := c.Get("/pages/401.html"); got.Code != 404 {
			t.Errorf("the page itself: got %d", got.Code)
		}
		if got := c.Get("/open/none"); got.Code != 404 || !strings.Contains(got.Body, `there is no file at "/open/none"`) {
			t.Errorf("a page that there is not: got %d %q", got.Code, got.Body)
		}
	})
}
