package apps_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headgate/gateway/apps"
)

// TestTyrant: as root, apps run as the owners of their files, and only they say so.
func TestTyrant(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI runs this as root")
		}
		t.Skip("needs root, to own files as somebody else")
	}
	const nobody, plain = 65534, "hosts: [a.example.com]\nworkers: {app: app.py}\n"
	vassal := "[uwsgi]\nmodule = app\nuid = 65534\ngid = 65534\nstatic-map = /static=/srv\n[headgate]\nhosts = a.example.com\n"
	t.Setenv("SECRET_OF_ROOT", "x")
	for name, row := range map[string]struct {
		file, text string
		uid, gid   int
		mode       os.FileMode
		user, want string
	}{
		"owner":           {"a.yaml", plain, 12345, 12346, 0o600, "12345:12346", ""},
		"root":            {"a.yaml", plain, 0, 0, 0o600, "", "belongs to root, and no app runs as root (write user: NAME"},
		"root group":      {"a.yaml", plain, 12345, 0, 0o600, "", "belongs to the group root"},
		"writable":        {"a.yaml", plain, 12345, 12346, 0o620, "", "others than its owner may write it"},
		"others":          {"a.yaml", plain, 12345, 12346, 0o602, "", "chmod go-w"},
		"root says":       {"a.yaml", strings.Replace(plain, "app.py", "app.py, user: \"65534:65534\"", 1), 0, 0, 0o644, "65534:65534", ""},
		"root says root":  {"a.yaml", strings.Replace(plain, "app.py", "app.py, user: root", 1), 0, 0, 0o644, "", "the user root is root"},
		"root says group": {"a.yaml", strings.Replace(plain, "app.py", "app.py, user: \"65534:0\"", 1), 0, 0, 0o644, "", "no app runs as root"},
		"owner says":      {"a.yaml", strings.Replace(plain, "app.py", "app.py, user: \"65534:65534\"", 1), nobody, nobody, 0o644, "65534:65534", ""},
		"owner lies":      {"a.yaml", strings.Replace(plain, "app.py", "app.py, user: \"65534:65534\"", 1), 12345, 12346, 0o644, "", "and the file belongs to 12345:12346"},
		"owner's group":   {"a.yaml", strings.Replace(plain, "app.py", "app.py, user: \"12345:42\"", 1), 12345, 12346, 0o644, "", "is not in the group"},
		"files":           {"a.yaml", plain + "routes: [{path: /static/, files: /root}, {}]\n", 12345, 12346, 0o644, "", "files: /root is opened by the gateway, which is root"},
		"files of root":   {"a.yaml", strings.Replace(plain, "app.py", "app.py, user: \"65534:65534\"", 1) + "routes: [{path: /static/, files: /srv}, {}]\n", 0, 0, 0o644, "65534:65534", ""},
		"environment":     {"a.yaml", plain + "pool: {vars: {A: \"${SECRET_OF_ROOT}\"}}\n", 12345, 12346, 0o644, "", "the environment has no variable"},
		"vassal":          {"a.ini", vassal, 12345, 12346, 0o644, "12345:12346", ""},
		"vassal of root":  {"a.ini", vassal, 0, 0, 0o644, "65534:65534", ""},
		"no uid":          {"a.ini", strings.Replace(vassal, "uid = 65534", "", 1), 0, 0, 0o644, "", "write user = NAME in a section [headgate]"},
		"no workers":      {"a.yaml", "hosts: [a.example.com]\npool: {members: [\"10.0.0.7:1\"]}\n", 12345, 12346, 0o644, "", ""},
		"socket":          {"a.yaml", "hosts: [a.example.com]\npool: {members: [\"unix:/run/docker.sock\"]}\n", 12345, 12346, 0o644, "", "member unix:/run/docker.sock is opened by the gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, row.file)
			write(t, file, row.text)
			own(t, file, row.uid, row.gid, row.mode)
			states, err := apps.Read(dir, os.LookupEnv)
			if err != nil || len(states) != 1 {
				t.Fatalf("Read = %+v, %v", states, err)
			}
			s := states[0]
			if row.want != "" {
				if s.Err == nil || !strings.Contains(s.Err.Error(), row.want) || s.Fragment != nil {
					t.Errorf("%+v, want the error %q", s, row.want)
				}
				return
			}
			if s.Err != nil {
				t.Fatal(s.Err)
			}
			if w := s.Fragment.Workers(); (w != nil || row.user != "") && w.User != row.user {
				t.Errorf("user %q, want %q", w.User, row.user)
			}
			if name == "vassal" && len(s.Fragment.Site.Routes) != 1 {
				t.Errorf("routes %+v, want none that root would serve", s.Fragment.Site.Routes)
			}
		})
	}
}

func own(t *testing.T, file string, uid, gid int, mode os.FileMode) {
	t.Helper()
	if err := os.Chown(file, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

// TestTyrantLinks: nobody makes an app of the file of another.
func TestTyrantLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to own files as somebody else")
	}
	dir, elsewhere := t.TempDir(), t.TempDir()
	write(t, elsewhere+"/app", "hosts: [a.example.com]\nworkers: {app: app.py}\n")
	own(t, elsewhere+"/app", 12345, 12346, 0o644)
	link := dir + "/a.yaml"
	if err := os.Symlink(elsewhere+"/app", link); err != nil {
		t.Fatal(err)
	}
	for uid, ok := range map[int]bool{0: true, 12345: true, 12347: false} {
		if err := os.Lchown(link, uid, 12346); err != nil {
			t.Fatal(err)
		}
		states, _ := apps.Read(dir, nil)
		if len(states) != 1 || (states[0].Err == nil) != ok {
			t.Errorf("a link of %d: %+v, want it taken: %v", uid, states, ok)
		}
	}
}

// TestTyrantOwnerChanges: whose a file is counts as much as what is in it.
func TestTyrantOwnerChanges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to own files as somebody else")
	}
	dir := t.TempDir()
	file := dir + "/a.yaml"
	write(t, file, "hosts: [a.example.com]\nworkers: {app: app.py}\n")
	own(t, file, 12345, 12346, 0o644)
	h := watch(t, dir)
	if got := h.last()["a.yaml"].Fragment.Workers().User; got != "12345:12346" {
		t.Errorf("user %q", got)
	}
	if err := os.Chown(file, 12347, 12348); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "another owner", func(s map[string]apps.State) bool { return s["a.yaml"].Fragment.Workers().User == "12347:12348" })
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "refused", func(s map[string]apps.State) bool { return s["a.yaml"].Err != nil })
}
