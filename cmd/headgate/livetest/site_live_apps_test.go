package livetest_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func walkLogin(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	v.get("/admin/").leads(302, "/admin/login/?next=/admin/")
	v.post("/admin/login/", url.Values{"username": {"admin"}, "password": {"admin"}}).wants(403).says("CSRF")
	v.login("admin", "admin")
	v.get("/admin/").wants(200).says("Site administration").says("admin")
	v.get("/").wants(200).says("House rules")
	s.visit(t, p).get("/admin/").wants(302) // nobody else is signed in by it
	elsewhere := s.visit(t, p)
	token := elsewhere.get("/admin/login/").find(`name="csrfmiddlewaretoken" value="(\w+)"`)
	form := url.Values{"csrfmiddlewaretoken": {token}, "username": {"admin"}, "password": {"admin"}}
	elsewhere.post("/admin/login/", form, "Origin: https://evil.example", "Referer: https://evil.example/").wants(403).says("CSRF")
	form.Set("password", "wrong")
	elsewhere.post("/admin/login/", form).wants(200).says("Please enter the correct username and password")
}

func walkDocuments(t *testing.T, s *djangoSite, p protocol) {
	s.visit(t, p).get("/documents/1/").leads(302, "/admin/login/?next=/documents/1/")
	guest := s.visit(t, p).login("guest", "guest")
	guest.get("/documents/1/").wants(403)
	v := s.visit(t, p).login("admin", "admin")
	whole := strings.Repeat("Be kind.\n", 1000)
	got := v.get("/documents/1/").wants(200).has("X-Accel-Redirect", "").has("Accept-Ranges", "bytes").
		has("Content-Disposition", "attachment; filename*=UTF-8''house_rules.txt").has("Cache-Control", "private, no-store")
	if got.body != whole || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d bytes of %s", len(got.body), got.header.Get("Content-Type"))
	}
	part := v.get("/documents/1/", "Range: bytes=9-16").wants(206).has("Content-Range", fmt.Sprintf("bytes 9-16/%d", len(whole))).
		has("Content-Disposition", "attachment; filename*=UTF-8''house_rules.txt")
	if part.body != "Be kind." {
		t.Errorf("a range is %q", part.body)
	}
	v.get("/documents/1/", "If-None-Match: "+got.header.Get("Etag")).wants(304)
	if head := v.send("HEAD", "/documents/1/", nil).wants(200).has("Content-Length", strconv.Itoa(len(whole))); head.body != "" {
		t.Errorf("HEAD: %q", head.body)
	}
	v.get("/documents/999/").wants(404)
}

func walkUpload(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p).login("admin", "admin")
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content) // it never fails
	token := v.get("/admin/club/document/add/").find(`name="csrfmiddlewaretoken" value="(\w+)"`)
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for name, value := range map[string]string{"csrfmiddlewaretoken": token, "title": "über " + string(p), "_save": "Save"} {
		if err := m.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	w, err := m.CreateFormFile("file", "große Liste.bin")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(content) // into memory
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	v.send(http.MethodPost, "/admin/club/document/add/", &b, "Content-Type: "+m.FormDataContentType(), "Origin: "+v.base, "Referer: "+v.base+"/").leads(302, "/admin/club/document/")
	list := v.get("/admin/club/document/").wants(200).says("über " + string(p))
	address := list.find(`/admin/club/document/(\d+)/change/`) // the newest comes first
	got := v.get("/documents/" + address + "/").wants(200)
	if got.body != string(content) {
		t.Errorf("%d bytes came back, of %d", len(got.body), len(content))
	}
	if !strings.Contains(got.header.Get("Content-Disposition"), "gro%C3%9Fe_Liste") {
		t.Errorf("Content-Disposition: %s", got.header.Get("Content-Disposition"))
	}
}

func walkReports(t *testing.T, s *djangoSite, p protocol) {
	s.visit(t, p).get("/reports/march/").wants(302)
	v := s.visit(t, p).login("admin", "admin")
	v.get("/reports/march/").wants(200).says("day,visitors\n1,12\n").has("X-Sendfile", "").has("Content-Type", "text/csv")
	v.get("/reports/april/").wants(404)
}

func walkProtected(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p).login("admin", "admin")
	for _, path := range []string{
		"/protected/documents/house_rules.txt", "/protected/", "/%70rotected/documents/house_rules.txt", "/protected//documents/house_rules.txt",
		"/x/../protected/documents/house_rules.txt", "/x/%2e%2e/protected/documents/house_rules.txt", "/protected/documents/house_rules.txt?a=b", "/protected/documents/",
	} {
		v.get(path).wants(404).says("There is no such page")
	}
	v.get("/protected/documents/house_rules.txt", "X-Accel-Redirect: /protected/documents/house_rules.txt").wants(404)
	v.get("/protected").wants(404)
}

func walkBlog(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	v.get("/blog/").wants(200).says(`href="/blog/post/first"`).says(`href="/blog/post/second"`)
	v.get("/blog/newest?a=b").leads(302, "/blog/post/second")
	if v.cookie("seen", "/blog/") != "yes" || v.cookie("seen", "/") != "" {
		t.Errorf("the cookie of the blog: %q below it, %q elsewhere", v.cookie("seen", "/blog/"), v.cookie("seen", "/"))
	}
	v.get("/blog/post/second").wants(200).says(`<a href="/blog/">back</a>`)
	v.get("/blog//post/./x/../second").wants(200)
	v.get("/blog/post/a%20b").wants(404).says("no such post")
	v.get("/blogger").wants(404).says("The requested resource was not found") // Django's
	top := v.get("/blog")
	if top.status != 200 && !(strings.HasSuffix(top.header.Get("Location"), "/blog/") && top.status/100 == 3) {
		t.Errorf("/blog: %d %v", top.status, top.header)
	}
}

func walkCanary(t *testing.T, s *djangoSite, p protocol) {
	version := func(v *visitor) string { return v.get("/").wants(200).find(`<b id="version">(\w+)</b>`) }
	pool := map[string]string{"stable": "shop", "next": "next"}
	v := s.visit(t, p)
	first := version(v)
	if v.cookie("version", "/") != pool[first] {
		t.Errorf("the cookie says %q of %s", v.cookie("version", "/"), first)
	}
	for range 20 {
		if again := version(v); again != first {
			t.Fatalf("%s after %s", again, first)
		}
	}
	for cookie, want := range map[string]string{"shop": "stable", "next": "next"} {
		other := s.visit(t, p)
		for range 10 {
			if got := other.get("/", "Cookie: version="+cookie).find(`<b id="version">(\w+)</b>`); got != want {
				t.Fatalf("version=%s: %s", cookie, got)
			}
		}
	}
	s.visit(t, p).get("/", "Cookie: version=blog").wants(200).says("Welcome") // no pool of the split
	seen := map[string]int{}
	crowd := s.visit(t, p)
	crowd.client.Jar = nil // everybody is new
	for range 400 {
		seen[version(crowd)]++
	}
	if n := seen["next"]; n < 10 || n > 75 || n+seen["stable"] != 400 { // 40, and 5 times the deviation of 6
		t.Errorf("%v of 400", seen)
	}
}

func walkLimit(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	v.get("/admin/login/").wants(200)
	for i := range 5 {
		v.post("/admin/login/", url.Values{}).wants(403).says("CSRF") // the app's answer
		if t.Failed() {
			t.Fatalf("request %d", i+1)
		}
	}
	v.post("/admin/login/", url.Values{}).wants(429)
	v.post("/%61dmin//login/", url.Values{}).wants(429)
	v.get("/admin/login/").wants(200)                              // looking is free
	s.visit(t, p).post("/admin/login/", url.Values{}).wants(403)   // and so is another client
	v.post("/admin/logout/", url.Values{}).wants(403).says("CSRF") // and another address
}

func walkLimitHeader(t *testing.T, s *djangoSite, p protocol) {
	v := s.visit(t, p)
	for range 5 {
		v.post("/admin/login/", url.Values{}).wants(403)
	}
	refused := v.post("/admin/login/", url.Values{}).wants(429)
	if n, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || n < 1 || n > 12 { // one each 12 s
		t.Errorf("Retry-After: %q", refused.header.Get("Retry-After"))
	}
	if refused.header.Get("Ratelimit") == "" || refused.header.Get("Ratelimit-Policy") == "" {
		t.Errorf("no RateLimit fields: %v", refused.header)
	}
}

func walkAccess(t *testing.T, s *djangoSite, p protocol) {
	v := s.visitFrom(t, p, "127.0.1.1")
	v.get("/").wants(200)
	for _, path := range []string{"/admin/", "/admin/login/", "/%61dmin/", "/x/../admin/", "//admin//login/"} {
		v.get(path).wants(403)
	}
	v.post("/admin/login/", url.Values{}).wants(403)
	if got := v.post("/admin/login/", url.Values{}); strings.Contains(got.text(), "CSRF") {
		t.Error("the app was asked")
	}
	v.get("/administrators").wants(404)
}

func walkCache(t *testing.T, s *djangoSite, p protocol) {
	made := func(v *visitor, path string, fields ...string) string {
		return v.get(path, fields...).wants(200).find(`<b id="made">([0-9a-f-]{36})</b>`)
	}
	query := "/prices/?of=" + string(p) // each protocol its own
	first := made(s.visit(t, p), query)
	for _, fields := range [][]string{nil, {"Cookie: a=b"}, {"Accept-Encoding: gzip;q=0"}} {
		if again := made(s.visit(t, p), query, fields...); again != first {
			t.Errorf("%v: a page of its own", fields)
		}
	}
	if other := made(s.visit(t, p), query+"&more"); other == first {
		t.Error("another query has the same page")
	}
	if s.gateway == nil {
		return
	}
	v := s.visit(t, p)
	hit := v.get(query).wants(200)
	if hit.header.Get("Age") == "" || !strings.Contains(hit.header.Get("Cache-Status"), "hit") {
		t.Errorf("%v", hit.header)
	}
	for _, coding := range []string{"zstd", "br", "gzip"} {
		packed := made(s.visit(t, p), query, "Accept-Encoding: "+coding) // one for each coding is kept
		got := v.get(query, "Accept-Encoding: "+coding).has("Content-Encoding", coding)
		if !strings.Contains(got.text(), packed) {
			t.Errorf("%s: not the page that is kept", coding)
		}
	}
	head := v.send("HEAD", query, nil).wants(200)
	if head.body != "" || !strings.Contains(head.header.Get("Cache-Status"), "hit") {
		t.Errorf("HEAD: %v", head.header)
	}
}

func walkMaintenance(t *testing.T, s *djangoSite, p protocol) {
	v, keeper := s.visit(t, p), s.visitFrom(t, p, "127.0.0.9")
	flag := filepath.Join(s.dir, "var", "closed")
	t.Cleanup(func() { _ = os.Remove(flag) })
	write(t, flag, "")
	s.closes(t, v, keeper)
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	s.opens(t, v)
}

func walkMaintenanceCommand(t *testing.T, s *djangoSite, p protocol) {
	v, keeper := s.visit(t, p), s.visitFrom(t, p, "127.0.0.9")
	for range 2 { // it may be said twice
		if stdout, stderr, code := run(t, headgate, "maintenance", "on", shop, "--socket", s.gateway.admin); code != 0 {
			t.Fatalf("maintenance on: %s%s", stdout, stderr)
		}
	}
	s.closes(t, v, keeper)
	v.get("https://www." + shop + "/").wants(301) // another site
	if stdout, stderr, code := run(t, headgate, "maintenance", "off", shop, "--socket", s.gateway.admin); code != 0 {
		t.Fatalf("maintenance off: %s%s", stdout, stderr)
	}
	s.opens(t, v)
}

// closes waits until the site is closed for v, and looks at how.
func (s *djangoSite) closes(t *testing.T, v, keeper *visitor) {
	t.Helper()
	if !eventually(5*time.Second, func() bool { return v.get("/").status == 503 }) {
		t.Fatal("the site stays open")
	}
	for _, path := range []string{"/", "/prices/", "/admin/", "/blog/", "/static/club/site.css", "/missing"} {
		v.get(path).wants(503).says("Closed for a moment").has("Retry-After", "120").has("X-Frame-Options", "DENY")
	}
	v.post("/admin/login/", url.Values{}).wants(503)
	keeper.get("/").wants(200).says("Welcome")
	keeper.get("/static/club/site.css").wants(200)
}

func (s *djangoSite) opens(t *testing.T, v *visitor) {
	t.Helper()
	if !eventually(5*time.Second, func() bool { return v.get("/").status == 200 }) {
		t.Fatal("the site stays closed")
	}
	v.get("/admin/login/").wants(200)
}
