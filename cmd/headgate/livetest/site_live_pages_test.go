package livetest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func walkPages(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	v.get("/").wants(200).says("Welcome").has("Content-Type", "text/html; charset=utf-8")
	if head := v.send("HEAD", "/", nil).wants(200); head.body != "" {
		t.Errorf("HEAD has a body: %q", head.body)
	}
	v.get("/items/5/?b=2&a=1").wants(200).says("b=2&amp;a=1")
	v.get("/items/x/").wants(404).says("The requested resource was not found") // Django's own page
	v.send("PUT", "/", strings.NewReader("x")).wants(403)                      // Django's CSRF check
}

func walkRedirects(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	plain := s.visit(t, h1)
	secure := "https://" + shop
	if s.gateway != nil {
		secure += ":" + port(s.https) // it knows where it listens
	}
	plain.get("/a/%41?b=c%20d&e").leads(308, secure+"/a/%41?b=c%20d&e")
	v.get("https://www."+shop+"/a/%41?b=c%20d&e").leads(301, "https://"+shop+"/a/%41?b=c%20d&e")
	v.get("https://www."+shop+"/").leads(301, "https://"+shop+"/")
	v.get("/item-12.html?a=b%20c&d").leads(301, "/items/12/?a=b%20c&d")
	v.get("/shop/item-7.html").leads(301, "/items/7/")
	v.get("/item-x.html").wants(404)
	v.get("/other/item-7.html").wants(404)
	v.get("/favicon.ico").leads(302, "/static/club/favicon.svg")
	v.get("/items/5").leads(301, "/items/5/") // Django's
	v.get("/items/12/?a=b").wants(200).says("Item 12")
}

// static returns the address of a static file as the manifest has it.
func (s *djangoSite) static(v *visitor, name string) string {
	v.t.Helper()
	manifest, err := os.ReadFile(filepath.Join(s.dir, "var", "static", "staticfiles.json"))
	if err != nil {
		v.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manifest), `"`+name+`": "`)
	hashed, _, ok := strings.Cut(rest, `"`)
	if !ok {
		v.t.Fatalf("the manifest has no %s", name)
	}
	return "/static/" + hashed
}

func walkStatic(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	address := v.get("/").find(`href="(/static/club/site\.[0-9a-f]{12}\.css)"`)
	content, err := os.ReadFile(filepath.Join(s.dir, "var", address))
	if err != nil {
		t.Fatal(err)
	}
	css := v.get(address).wants(200).has("Content-Encoding", "").has("Accept-Ranges", "bytes")
	if css.body != string(content) || !strings.HasPrefix(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("%s is %q", address, css.body)
	}
	lasts(css, true)
	lasts(v.get("/static/club/site.css").wants(200), false)
	v.send("POST", address, strings.NewReader("x")).wants(405)
	v.get("/static/club/").wants(403)
	v.get("/static/missing.css").wants(404).says("There is no such page")
	v.get("/static/../manage.py").wants(404)
	v.get("/static/%2e%2e/db.sqlite3").wants(404)
}

// lasts looks at whether a file may be kept for a year.
func lasts(p *page, forever bool) {
	p.t.Helper()
	control := p.header.Get("Cache-Control")
	if is := strings.Contains(control, "max-age=31536000") && strings.Contains(control, "immutable"); is != forever {
		p.t.Errorf("%s: Cache-Control is %q", p.what, control)
	}
}

func walkValidators(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	address := s.static(v, "club/site.css")
	css := v.get(address).wants(200)
	content := css.body
	tag := css.header.Get("Etag")
	if tag == "" || css.header.Get("Last-Modified") == "" {
		t.Errorf("no validators: %v", css.header)
	}
	unchanged := v.get(address, "If-None-Match: "+tag).wants(304).has("Etag", tag)
	if unchanged.body != "" {
		t.Errorf("304 with a body: %q", unchanged.body)
	}
	v.get(address, "If-Modified-Since: "+css.header.Get("Last-Modified")).wants(304)
	v.get(address, `If-Match: "other"`).wants(412)
	part := v.get(address, "Range: bytes=3-12").wants(206)
	if part.body != content[3:13] {
		t.Errorf("a range is %q", part.body)
	}
	v.get(address, "Range: bytes=100000-").wants(416)
	if head := v.send("HEAD", address, nil).wants(200); head.header.Get("Content-Length") != css.header.Get("Content-Length") {
		t.Errorf("HEAD: %v", head.header)
	}
	packed := v.get(address, "Accept-Encoding: gzip").wants(200).has("Content-Encoding", "gzip").has("Vary", "Accept-Encoding")
	beside, err := os.ReadFile(filepath.Join(s.dir, "var", address+".gz"))
	if err != nil || packed.body != string(beside) || packed.text() != content {
		t.Errorf("not the file beside it: %v, %d bytes", err, len(packed.body))
	}
	lasts(packed, true)
	if packed.header.Get("Etag") == tag {
		t.Errorf("two contents have the tag %s", tag)
	}
}

func walkCompressed(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	whole := v.get("/items/5/").wants(200).has("Content-Encoding", "")
	v.get("/items/5/", "Accept-Encoding: gzip").wants(200).has("Content-Encoding", "") // too short
	long := "/items/5/?" + strings.Repeat("a", 4000)
	packed := v.get(long, "Accept-Encoding: gzip").wants(200).has("Content-Encoding", "gzip").says("Item 5")
	if len(packed.body) > 2000 || !strings.Contains(packed.header.Get("Vary"), "Accept-Encoding") {
		t.Errorf("%d bytes, %v", len(packed.body), packed.header)
	}
	v.get(long, "Accept-Encoding: gzip;q=0").wants(200).has("Content-Encoding", "")
	if whole.text() == packed.text() {
		t.Error("the query is not in the page")
	}
}

func walkCodings(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	css := s.static(v, "admin/css/base.css")
	whole := v.get(css).wants(200).body
	for _, coding := range []string{"zstd", "br", "gzip"} {
		for _, address := range []string{css, "/items/5/?" + strings.Repeat("a", 4000)} {
			got := v.get(address, "Accept-Encoding: "+coding).wants(200).has("Content-Encoding", coding)
			if text := got.text(); address == css && text != whole {
				t.Errorf("%s: %d bytes of %d", coding, len(text), len(whole))
			}
		}
	}
	v.get(css, "Accept-Encoding: gzip, deflate, br, zstd").has("Content-Encoding", "gzip") // the file beside it costs nothing
	v.get(css, "Accept-Encoding: br;q=1, gzip;q=0.1").has("Content-Encoding", "gzip")      // so what is there counts more
}

func walkSecurity(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	for _, path := range []string{"/", "/static/club/site.css", "/missing", "/static/missing", "/blog/", "/prices/", "/item-5.html"} {
		v.get(path).has("Strict-Transport-Security", "max-age=63072000; includeSubDomains").has("X-Content-Type-Options", "nosniff").
			has("X-Frame-Options", "DENY").has("Referrer-Policy", "strict-origin-when-cross-origin")
	}
	s.visit(t, h1).get("/").has("Strict-Transport-Security", "") // not over plain http (RFC 6797, 7.2)
}

func walkSecurityOfAll(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	for _, path := range []string{"/", "/static/club/site.css", "/static/missing", s.static(v, "club/site.css")} {
		answer := v.get(path).has("Cross-Origin-Opener-Policy", "same-origin")
		if !strings.Contains(answer.header.Get("Permissions-Policy"), "camera=()") {
			t.Errorf("%s: %v", path, answer.header)
		}
	}
}

func walkErrors(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	v.get("/static/none").wants(404).says("There is no such page")
	v.get("/blog/post/none").wants(404).says("no such post").has("Content-Type", "text/plain") // the app's own stays
	if got := v.send("HEAD", "/static/none", nil).wants(404); got.body != "" {
		t.Errorf("HEAD: %q", got.body)
	}
	died := v.get("/blog/die").wants(502).says("Something went wrong here")
	if s.gateway == nil {
		return
	}
	died.says("(502)").says("<title>Bad Gateway<")
	if id := died.header.Get("X-Request-Id"); id != "" {
		died.says("<code>" + id + "</code>")
	}
}
