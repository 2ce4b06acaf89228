package livetest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDjangoSite walks all of deploy/examples/django-site, with the configuration of
// the example, over each protocol.
func TestDjangoSite(t *testing.T) {
	s := startDjangoSite(t)
	for _, p := range []protocol{h1s, h2, h3} {
		t.Run(string(p), func(t *testing.T) {
			for _, part := range walk {
				t.Run(part.name, func(t *testing.T) { part.of(t, s, p) })
			}
		})
	}
}

// TestDjangoSiteBehindNginx walks the same site behind nginx, with the nginx.conf that
// from-nginx.md sets beside ours, so that it is what it says: the same.
func TestDjangoSiteBehindNginx(t *testing.T) {
	s := startDjangoSiteBehindNginx(t)
	for _, p := range []protocol{h1s, h2} {
		t.Run(string(p), func(t *testing.T) {
			for _, part := range walk {
				if !part.ours {
					t.Run(part.name, func(t *testing.T) { part.of(t, s, p) })
				}
			}
		})
	}
}

// walk are the parts of the site.
var walk = []struct {
	name string
	of   func(t *testing.T, s *djangoSite, p protocol)
	ours bool // nginx has nothing like it
}{
	{name: "pages", of: walkPages},
	{name: "redirects", of: walkRedirects},
	{name: "static", of: walkStatic},
	{name: "validators", of: walkValidators},
	{name: "compressed", of: walkCompressed},
	{name: "codings", of: walkCodings, ours: true},
	{name: "security", of: walkSecurity},
	{name: "security of all", of: walkSecurityOfAll, ours: true},
	{name: "login", of: walkLogin},
	{name: "documents", of: walkDocuments},
	{name: "upload", of: walkUpload},
	{name: "reports", of: walkReports, ours: true},
	{name: "protected", of: walkProtected},
	{name: "blog", of: walkBlog},
	{name: "canary", of: walkCanary},
	{name: "login limit", of: walkLimit},
	{name: "login limit's header", of: walkLimitHeader, ours: true},
	{name: "access", of: walkAccess},
	{name: "cache", of: walkCache},
	{name: "errors", of: walkErrors},
	{name: "maintenance", of: walkMaintenance},
	{name: "maintenance by command", of: walkMaintenanceCommand, ours: true},
}

// TestExampleIsShort: the configuration stays what it is praised for, and what the
// documentation shows.
func TestExampleIsShort(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(exampleDir, "headgate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(file), "\n"); n > 60 {
		t.Errorf("the example has %d lines", n)
	}
	for i, line := range strings.Split(string(file), "\n") {
		if len(line) > 100 {
			t.Errorf("line %d is %d long", i+1, len(line))
		}
	}
	if documented(t, "```yaml headgate.yaml") != string(file) {
		t.Error("from-nginx.md shows another headgate.yaml than the example")
	}
}
