package livetest_test

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shop is the name of the site of deploy/examples/django-site.
const shop = "shop.localhost"

const exampleDir = "../../../deploy/examples/django-site"

// djangoSite is the example, running: its three apps on a real uWSGI, and one server
// in front of them.
type djangoSite struct {
	dir         string // a copy of the example
	http, https string // addresses
	roots       *x509.CertPool
	gateway     *gateway // nil: nginx is in front
	visitors    int      // how many there were: each has an address of its own
}

// startApps copies the example and starts its apps as its README says. The blog gets
// an address that kills its worker, so that there is an error to be seen.
func startApps(t testing.TB) *djangoSite {
	t.Helper()
	uwsgi, python := need(t, "uwsgi"), need(t, "/usr/bin/python3") // Debian's, which has Django
	s := &djangoSite{dir: shortDir(t), roots: x509.NewCertPool()}
	copyExample(t, s.dir)
	s.add(t, "blog.py", "\n\n@app.get(\"/die\")\ndef die():\n    import os\n    os.kill(os.getpid(), 9)\n")
	s.add(t, "apps/blog.ini", "forkbomb-delay = 0\n") // its workers may die as often as a test likes
	for _, app := range []string{"shop", "next", "blog"} {
		s.add(t, "apps/"+app+".ini", "disable-logging = true\n")
	}
	if stdout, stderr, code := run(t, "/usr/bin/env", "PYTHONDONTWRITEBYTECODE=1", python, filepath.Join(s.dir, "manage.py"), "demo"); code != 0 {
		t.Fatalf("manage.py demo: %s%s", stdout, stderr)
	}
	ready := func() bool {
		for _, name := range []string{"shop", "next", "blog"} {
			if !accepts("unix", filepath.Join(s.dir, "var", name+".sock"))() {
				return false
			}
		}
		return true
	}
	start(t, s.dir, ready, "/usr/bin/env", "SITE="+s.dir, uwsgi, "--die-on-term", "--emperor", filepath.Join(s.dir, "apps"))
	return s
}

// add adds text to the end of a file.
func (s *djangoSite) add(t testing.TB, name, text string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.dir, name), string(content)+text)
}

// copyExample copies what belongs to the example, not what running it has made.
func copyExample(t testing.TB, to string) {
	t.Helper()
	from := os.DirFS(exampleDir)
	err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "var" || d.Name() == "__pycache__":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		}
		content, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// startDjangoSite runs it behind Headgate, with the example's own configuration.
func startDjangoSite(t testing.TB) *djangoSite {
	t.Helper()
	s := startApps(t)
	g := &gateway{
		certificate: &certificate{roots: s.roots},
		file:        filepath.Join(s.dir, "headgate.yaml"), admin: filepath.Join(s.dir, "var", "admin.sock"),
	}
	g.process = start(t, s.dir, accepts("unix", g.admin), "/usr/bin/env", "SITE="+s.dir, "HTTP=127.0.0.1:0", "HTTPS=127.0.0.1:0",
		"NAME="+shop, "OFFICE=127.0.0.0/24", headgate, "run", "-c", g.file)
	g.learn(t)
	s.gateway, s.http, s.https = g, g.http, g.https
	root := filepath.Join(s.dir, "var", "tls", "ca", "root.crt")
	ok := eventually(20*time.Second, func() bool {
		pem, err := os.ReadFile(root)
		return err == nil && s.roots.AppendCertsFromPEM(pem)
	})
	if !ok {
		t.Fatal("there is no local authority")
	}
	return s
}

// startDjangoSiteBehindNginx runs it behind nginx, with the configuration of
// from-nginx.md but for addresses and directories.
func startDjangoSiteBehindNginx(t testing.TB) *djangoSite {
	t.Helper()
	binary := need(t, "nginx")
	s := startApps(t)
	s.http, s.https = "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	c := newMint(t)
	s.roots.AddCert(c.root)
	cert, key := c.files(t, shop, "www."+shop)
	conf := strings.NewReplacer(
		"worker_processes auto;", "daemon off; master_process off;",
		"/srv/site/var/tls/fullchain.pem", cert, "/srv/site/var/tls/privkey.pem", key, "/srv/site", s.dir,
		"listen 80;", "listen "+s.http+";", "listen 443 ", "listen "+s.https+" ",
		"include uwsgi_params;", "include /etc/nginx/uwsgi_params;", "include mime.types;", "include /etc/nginx/mime.types;", "127.0.0.0/8", "127.0.0.0/24",
	).Replace(documented(t, "```nginx nginx.conf"))
	file := filepath.Join(s.dir, "nginx.conf")
	write(t, file, conf)
	if _, stderr, code := run(t, binary, "-t", "-p", s.dir, "-c", file, "-e", "stderr"); code != 0 {
		t.Fatalf("nginx -t: %s", stderr)
	}
	start(t, s.dir, accepts("tcp", s.http), binary, "-p", s.dir, "-c", file, "-e", "stderr")
	return s
}

// documented returns the block of from-nginx.md that begins with the line.
func documented(t testing.TB, line string) string {
	t.Helper()
	page, err := os.ReadFile("../../../deploy/docs/from-nginx.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n"+line+"\n")
	block, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("from-nginx.md has no block %s", line)
	}
	return block + "\n"
}

// address is one that no visitor had, in the network of the office.
func (s *djangoSite) address() string {
	s.visitors++
	return fmt.Sprintf("127.0.0.%d", 10+s.visitors%240)
}
