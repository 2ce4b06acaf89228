package livetest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFilesAsNginx asks Debian's nginx and Headgate, which serve the same folder,
// the same questions. What they answer differently is in accepted, with the section
// of the RFC that lets us, or it is a failure.
func TestFilesAsNginx(t *testing.T) {
	s := startFileServers(t)
	asked := 0
	for _, c := range fileCases() {
		asked++
		s.compare(t, c)
	}
	if asked < 200 {
		t.Errorf("only %d requests were compared", asked)
	}
	t.Logf("%d requests over HTTP/1.1", asked)
	for i, d := range accepted {
		if s.used[i] == 0 {
			t.Errorf("accepted difference %d is none: %s (%s)", i, d.why, d.rule)
		}
	}
}

// TestFilesAsNginxOverH2 is a sample of the same over HTTP/2.
func TestFilesAsNginxOverH2(t *testing.T) {
	s := startFileServers(t)
	s.ours.client = s.g.client(t, h2)
	behind := *s.g
	behind.https = s.theirs.https
	s.theirs.client = behind.client(t, h2)
	for i, c := range fileCases() {
		if i%7 == 0 {
			s.compare(t, c)
		}
	}
}

// fileServers are both, in front of one folder.
type fileServers struct {
	g            *gateway
	root         string
	theirs, ours *fileAsker
	used         []int // by index of accepted
}

// modified is when each file of the folder was.
var modified = time.Date(2024, time.May, 5, 10, 20, 30, 0, time.UTC)

func startFileServers(t *testing.T) *fileServers {
	t.Helper()
	binary := need(t, "nginx")
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil { // not that it matters: nginx runs as who started it
		t.Fatal(err)
	}
	s := &fileServers{root: makeFolder(t, dir), used: make([]int, len(accepted))}
	s.g = startFiles(t, dir, s.root)
	plain, secure := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  include /etc/nginx/mime.types; default_type application/octet-stream; access_log off; sendfile on;
  client_body_temp_path %[1]s/body; uwsgi_temp_path %[1]s/uwsgi; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s; listen %[3]s ssl http2; server_name %[4]s; ssl_certificate %[5]s; ssl_certificate_key %[6]s;
    root %[7]s; gzip_static on; gzip_vary on; keepalive_requests 100000;
  }
}
`, dir, plain, secure, host, s.g.cert, s.g.key, s.root))
	start(t, dir, accepts("tcp", plain), binary, "-p", dir, "-c", file, "-e", "stderr")
	s.theirs, s.ours = newFileAsker(t, "nginx", plain), newFileAsker(t, "headgate", s.g.http)
	s.theirs.https, s.ours.https = secure, s.g.https
	return s
}

// startFiles runs the gateway with nothing but the folder.
func startFiles(t *testing.T, dir, root string) *gateway {
	t.Helper()
	g := &gateway{certificate: newCertificate(t), file: filepath.Join(dir, "headgate.yaml"), admin: filepath.Join(dir, "admin.sock")}
	write(t, g.file, fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
tls: {issuer: none, certificates: [{cert: %q, key: %q}]}
admin: {socket: %q}
log: {access: off}
sites:
  - hosts: [%s]
    http: serve
    routes: [{files: {root: %q, precompressed: [gzip]}}]
`, g.cert, g.key, g.admin, host, root))
	g.process = start(t, dir, accepts("unix", g.admin), headgate, "run", "-c", g.file)
	g.learn(t)
	return g
}

// makeFolder makes what both serve.
func makeFolder(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "root")
	for name, content := range map[string]string{
		"hello.txt":            "Hello, this is a text of some length, which is sent whole or in part.\n",
		"styles.css":           strings.Repeat("p { margin: 0 }\n", 200),
		"styles.css.gz":        "\x1f\x8bnot really compressed, but nobody looks",
		"big.bin":              strings.Repeat("0123456789abcdef", 8<<10),
		"empty.txt":            "",
		"noext":                "what am I?",
		"odd.xyzzy":            "unknown",
		"data.json":            `{"a": 1}`,
		"picture.svg":          "<svg/>",
		"picture.png":          "\x89PNG",
		"a b.txt":              "a name with a space",
		"ä.txt":                "a name that is not ASCII",
		"page.html":            "<p>page</p>",
		"index.html":           "<p>the first page</p>",
		"sub/index.html":       "<p>a page of its own</p>",
		"sub/deep/file.txt":    "deep",
		"bare/file.txt":        "no index here",
		".hidden":              "secret",
		".git/config":          "secret",
		".well-known/security": "Contact: mailto:a@example.com\n",
		"../outside.txt":       "outside",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"inside.txt": "hello.txt", "outside.txt": "../outside.txt", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
