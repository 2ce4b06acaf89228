package files_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"headgate/gateway/files"
	"headgate/gateway/notation"
	"headgate/routing"
)

const canary = "CANARY 6f1d"

// jail returns a root with all kinds of traps, and what lies beside it.
func jail(t testing.TB) (root string) {
	t.Helper()
	top := t.TempDir()
	root = filepath.Join(top, "root")
	for name, content := range map[string]string{
		"root/index.html": "inside", "root/a.txt": "inside", "root/dir/b.txt": "inside", "root/dir/deep/c.txt": "inside", "root/.env": canary, "root/.git/config": canary,
		"root/with space.txt": "inside", "root/50%25.txt": "inside", "root/%2e%2e/x.txt": "inside", "root/..%2f": canary, "root/dir/...": canary, `root/dir\b.txt`: canary, `root/..\secret.txt`: canary, "root/\u00e4.txt": "inside",
		"secret.txt": canary, "other/secret.txt": canary, "root-other/secret.txt": canary, "other/index.html": canary, "other/a.txt.gz": canary,
	} {
		write(t, top, name, content)
	}
	for name, to := range map[string]string{
		"absolute.txt": filepath.Join(top, "secret.txt"), "relative.txt": "../secret.txt", "dirs": "../other", "absdirs": filepath.Join(top, "other"), "up": "..", "dir/up": "../..",
		"chain1": "chain2", "chain2": "chain3", "chain3": "../secret.txt", "dir/chain": "../chain1", "loop1": "loop2", "loop2": "loop1", "self": "self", "rootlink": "/", "proc": "/proc/self/root",
		"dev": "/dev/zero", "around": "../root/a.txt", "absinside": filepath.Join(root, "a.txt"), "good": "a.txt", "gooddir": "dir", "dir/good": "../a.txt",
		"a.txt.gz": "../other/a.txt.gz", "dangling": "nowhere", "dir/index.html": "../../secret.txt",
	} {
		must(t, os.Symlink(to, filepath.Join(root, name)))
	}
	must(t, syscall.Mkfifo(filepath.Join(root, "fifo"), 0o666))
	must(t, os.Mkdir(filepath.Join(root, "fifodir"), 0o755))
	must(t, syscall.Mkfifo(filepath.Join(root, "fifodir/index.html"), 0o666))
	l, err := net.Listen("unix", filepath.Join(root, "sock"))
	must(t, err)
	t.Cleanup(func() { l.Close() })
	if os.Getuid() == 0 { // else it cannot be made, and is not there
		if err := syscall.Mknod(filepath.Join(root, "device"), syscall.S_IFCHR|0o666, 1<<8|5); err != nil {
			t.Logf("no device: %v", err)
		}
	}
	return root
}

// targets are what clients send. The first group must find a file of the root, none
// of the second may.
func targets() (inside, outside []string) {
	long := strings.Repeat("a", 300)
	inside = []string{
		"/", "/a.txt", "/dir/b.txt", "/dir/../a.txt", "/dir/%2e%2e/a.txt", "/dir/deep/../../a.txt", "//a.txt", "/./a.txt", "/dir//b.txt", "/%61.txt", "/with%20space.txt",
		"/50%2525.txt", "/dir%2fb.txt", "/good", "/gooddir/b.txt", "/dir/good", "/%C3%A4.txt", "/%252e%252e/x.txt",
	}
	outside = []string{
		// Dots, plain and encoded once, twice and three times.
		"/../secret.txt", "/../../secret.txt", "/dir/../../secret.txt", "/..", "/../", "/dir/../..", "/dir/../../",
		"/%2e%2e/secret.txt", "/%2E%2E/secret.txt", "/.%2e/secret.txt", "/%2e./secret.txt", "/dir/%2e%2e/%2e%2e/secret.txt",
		"/%2e%2e%2fsecret.txt", "/..%2fsecret.txt", "/..%2Fsecret.txt", "/dir%2f..%2f..%2fsecret.txt", "/%2f..%2fsecret.txt",
		"/..%252f", "/%252e%252e/secret.txt", "/%252e%252e%252fsecret.txt", "/..%252fsecret.txt", "/%25252e%25252e/secret.txt", "/..%25252fsecret.txt",
		"/..../secret.txt", "/.../secret.txt", "/....//secret.txt", "/....//....//secret.txt", "/..;/secret.txt", "/dir/..;/..;/secret.txt", "/..%3b/secret.txt",
		"/..%20/secret.txt", "/.. /secret.txt", "/..%09/secret.txt", "/%2e%2e;x=y/secret.txt", "/dir/...", "/..a/../../secret.txt",
		// Slashes.
		"//../secret.txt", "///../secret.txt", "/..//secret.txt", "//etc/passwd", "/%2fetc%2fpasswd", "/%2f%2fetc/passwd", "//localhost/etc/passwd",
		"/a.txt/", "/a.txt/..%2f..%2fsecret.txt", "/a.txt/x", "/a.txt%2f", "/dir/b.txt/../../../secret.txt",
		// Backslashes.
		`/..\secret.txt`, `/..\..\secret.txt`, "/..%5csecret.txt", "/..%5Csecret.txt", "/%5c..%5csecret.txt", "/dir%5c..%5c..%5csecret.txt", "/%2e%2e%5csecret.txt", `/dir\b.txt`, "/..%255csecret.txt", `/C:\secret.txt`, "/c:/secret.txt",
		// NUL and other controls.
		"/a.txt%00", "/a.txt%00.css", "/..%00/secret.txt", "/%00", "/%00/../secret.txt", "/a.txt%2500", "/a.txt\x00", "/a.txt%0a", "/a.txt%0d%0a", "/%0a../secret.txt", "/a.txt%7f",
		// UTF-8 that is longer than it has to be, and other bytes.
		"/%c0%ae%c0%ae/secret.txt", "/%c0%ae%c0%ae%c0%afsecret.txt", "/..%c0%afsecret.txt", "/%e0%80%ae%e0%80%ae/secret.txt", "/%f0%80%80%ae%f0%80%80%ae/secret.txt", "/..%c1%9csecret.txt",
		"/%u002e%u002e/secret.txt", "/%uff0e%uff0e/secret.txt", "/%ef%bc%8e%ef%bc%8e/secret.txt", "/..%e2%88%95secret.txt", "/..%ef%bc%8fsecret.txt", "/%ff%fe/secret.txt", "/%80%80/secret.txt",
		// Trailing things.
		"/a.txt.", "/a.txt..", "/a.txt%20", "/a.txt...", "/a.txt::$DATA", "/a.txt%3a%3a$DATA", "/dir/.", "/dir/./", "/A.TXT",
		// Links.
		"/absolute.txt", "/relative.txt", "/dirs/secret.txt", "/dirs/", "/dirs", "/absdirs/secret.txt", "/up/secret.txt", "/up/", "/up/root/a.txt", "/dir/up/secret.txt",
		"/chain1", "/chain2", "/chain3", "/dir/chain", "/loop1", "/self", "/self/x", "/rootlink/etc/passwd", "/rootlink/", "/proc/etc/passwd", "/proc/", "/around", "/absinside", "/dangling", "/dir/", "/dir/index.html", "/a.txt.gz",
		// What is no file.
		"/fifo", "/fifodir/", "/sock", "/device", "/dev", "/fifo/", "/sock/x",
		// Of the machine.
		"/proc/self/root/etc/passwd", "/proc/self/environ", "/etc/passwd", "/dev/zero", "/dev/tty", "/../../../../../../../../proc/self/root/etc/passwd",
		// Neighbours and hidden names.
		"/../root-other/secret.txt", "-other/secret.txt", "/.env", "/.git/config", "/.git/", "/dir/../.env", "/%2eenv", "/.%65nv", "/.git%2fconfig",
		// Too long, too deep.
		"/" + long, "/" + long + ".txt", "/" + strings.Repeat("a/", 2500), "/" + strings.Repeat("dir/../", 1000) + "../secret.txt", "/" + strings.Repeat("%2e%2e/", 50) + "secret.txt", "/" + strings.Repeat("x", 5000),
		// No path.
		"", "*", "secret.txt", "../secret.txt", "?/../secret.txt", "/%", "/%2", "/%zz", "/%2e%2", "http://h/../secret.txt", "/~root/x", "/$HOME/x", "/`id`",
	}
	return inside, outside
}

func TestNothingLeavesTheRoot(t *testing.T) {
	root := jail(t)
	inside, outside := targets()
	t.Logf("%d targets inside, %d outside", len(inside), len(outside))
	for _, o := range []files.Options{
		{Root: root}, {Root: root, Memory: notation.Off}, {Root: root, Listing: true}, {Root: root, Try: []string{"$path", "$path.txt", "$path/"}}, {Root: root, Try: []string{"dir/$path"}},
	} {
		s := open(t, o)
		for _, target := range outside {
			for range 2 {
				got := walk(t, s, target)
				if strings.Contains(got, canary) || strings.Contains(got, "root:") || strings.Contains(got, "secret.txt") || got == "inside" && o.Try == nil {
					t.Errorf("%+v: %.80q leads to %.200q", o, target, got)
				}
			}
		}
		if o.Try != nil {
			continue
		}
		for _, target := range inside {
			if got := walk(t, s, target); got != "inside" {
				t.Errorf("%.80q leads to %q, not inside", target, got)
			}
		}
	}
	hidden := open(t, files.Options{Root: root, Hidden: true})
	for _, target := range outside {
		if got := walk(t, hidden, target); strings.Contains(got, canary) && !strings.Contains(target, "env") && !strings.Contains(target, "nv") && !strings.Contains(target, "git") && target != "/dir/..." && target != "/..%252f" {
			t.Errorf("hidden: %.80q leads to %.200q", target, got)
		}
	}
}

// walk takes a target the way that requests go, and returns the body of the answer.
// Nothing may wait for the other end of a FIFO.
func walk(t *testing.T, s *files.Server, target string) string {
	t.Helper()
	path, _, _ := strings.Cut(target, "?")
	path, err := routing.CanonicalPath(path)
	if err != nil {
		return ""
	}
	late := time.AfterFunc(30*time.Second, func() { panic("files: " + target + " blocks") })
	defer late.Stop()
	a := ask(t, s, "GET", path[1:], "Accept-Encoding: gzip")
	if a.Outcome == files.Failed {
		t.Errorf("%.80q fails: %v", target, a.Err)
	}
	return a.body.String()
}

// TestNamesThatRoutingDoesNotMake gives names as no canonical path has them.
func TestNamesThatRoutingDoesNotMake(t *testing.T) {
	s := open(t, files.Options{Root: jail(t)})
	for _, name := range []string{
		"..", "../", "../secret.txt", "dir/../../secret.txt", "dir/../a.txt", "/a.txt", "//a.txt", "./a.txt", ".", "./", "dir/./b.txt", "dir//b.txt", "dir/b.txt//", "a.txt\x00", "\x00", "dir\\b.txt",
		"/", "//", "/etc/passwd", "\xff", strings.Repeat("a/", 4000), strings.Repeat("\x00", 10), " ", "dir/", "fifo", "sock", "..\\secret.txt", "dir/..",
	} {
		for range 2 {
			if a := ask(t, s, "GET", name); a.Outcome != files.NotFound && a.Outcome != files.Forbidden {
				t.Errorf("%.80q: got %v %q", name, a.Outcome, a.body.String())
			}
		}
	}
}

func FuzzNames(f *testing.F) {
	root := jail(f)
	s := open(f, files.Options{Root: root, Memory: 64 * notation.KiB, Listing: true})
	try := open(f, files.Options{Root: root, Try: []string{"$path", "dir/$path.txt", "/index.html"}})
	inside, outside := targets()
	for _, target := range append(inside, outside...) {
		f.Add(target, true)
		f.Add(strings.TrimPrefix(target, "/"), false)
	}
	f.Fuzz(func(t *testing.T, name string, target bool) {
		if target {
			path, err := routing.CanonicalPath(name)
			if err != nil {
				return
			}
			name = path[1:]
		}
		for _, s := range []*files.Server{s, try} {
			a := ask(t, s, "GET", name, "Accept-Encoding: gzip, br")
			if strings.Contains(a.body.String(), canary) || strings.Contains(a.body.String(), "root:") {
				t.Errorf("%q leads out of the root: %q", name, a.body.String())
			}
			if a.Outcome == files.Failed {
				t.Errorf("%q fails: %v", name, a.Err)
			}
		}
	})
}
