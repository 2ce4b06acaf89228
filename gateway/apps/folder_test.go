package apps_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/gateway/apps"
	"headgate/gateway/config"
)

func TestFolderFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/shop.yaml", yaml("shop.example.com"))
	write(t, dir+"/blog.ini", ini("blog.example.com"))
	h := watch(t, dir)
	if first := h.last(); hosts(first["shop.yaml"]) != "shop.example.com" || hosts(first["blog.ini"]) != "blog.example.com" || h.count() != 1 {
		t.Fatalf("first heard %+v in %d calls", first, h.count())
	}

	write(t, dir+"/new.yaml", yaml("new.example.com"))
	h.wait(t, "a new file", func(s map[string]apps.State) bool { return hosts(s["new.yaml"]) == "new.example.com" })

	write(t, dir+"/new.yaml", yaml("other.example.com"))
	h.wait(t, "a change", func(s map[string]apps.State) bool { return hosts(s["new.yaml"]) == "other.example.com" })

	write(t, dir+"/.new", yaml("renamed.example.com"))
	if err := os.Rename(dir+"/.new", dir+"/new.yaml"); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "a file in place of another", func(s map[string]apps.State) bool { return hosts(s["new.yaml"]) == "renamed.example.com" })

	if err := os.Remove(dir + "/shop.yaml"); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "gone", func(s map[string]apps.State) bool { return len(s) == 2 && hosts(s["shop.yaml"]) == "" })
	for _, states := range h.calls {
		for _, s := range states {
			if s.Err != nil || s.Touched != 0 {
				t.Errorf("%+v", s)
			}
		}
	}
}

func TestFolderKeepsTheLastGoodState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/shop.yaml", yaml("shop.example.com"))
	h := watch(t, dir)
	before := h.last()["shop.yaml"]
	write(t, dir+"/shop.yaml", "hosts: [shop.example.com\nwork")
	h.wait(t, "wrong", func(s map[string]apps.State) bool { return s["shop.yaml"].Err != nil })
	after := h.last()["shop.yaml"]
	if after.Fragment != before.Fragment || !after.Changed.After(before.Changed) {
		t.Errorf("the state is %+v, want the fragment from before and a later time", after)
	}
	if errs, ok := errors.AsType[config.Errors](after.Err); !ok || errs[0].Line != 2 {
		t.Errorf("the error has no place: %v", after.Err)
	}
	write(t, dir+"/shop.yaml", yaml("again.example.com"))
	h.wait(t, "right again", func(s map[string]apps.State) bool {
		return s["shop.yaml"].Err == nil && hosts(s["shop.yaml"]) == "again.example.com"
	})
}

func TestFolderTouched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/shop.yaml", yaml("shop.example.com"))
	write(t, dir+"/blog.ini", ini("blog.example.com"))
	h := watch(t, dir)
	shop := h.last()["shop.yaml"].Fragment

	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(dir+"/shop.yaml", later, later); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "touched", func(s map[string]apps.State) bool { return s["shop.yaml"].Touched == 1 })
	if got := h.last()["shop.yaml"].Fragment; got != shop {
		t.Error("a file that was only touched has another fragment")
	}
	if got := h.last()["blog.ini"].Touched; got != 0 {
		t.Errorf("the other file was touched %d times", got)
	}

	write(t, dir+"/blog.ini", ini("blog.example.com")+"# uWSGI may read what we do not\n")
	h.wait(t, "a changed ini file", func(s map[string]apps.State) bool { return s["blog.ini"].Touched == 1 })
	write(t, dir+"/blog.ini", "[uwsgi]\ndaemonize = /x\n")
	h.wait(t, "a wrong ini file", func(s map[string]apps.State) bool { return s["blog.ini"].Err != nil })
	if got := h.last()["blog.ini"].Touched; got != 1 {
		t.Errorf("a wrong ini file would replace workers: touched %d times", got)
	}
}

func TestFolderToCome(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	for _, pattern := range []string{dir, dir + "/*.{yaml,ini}"} {
		h := watch(t, pattern)
		if len(h.last()) != 0 {
			t.Fatalf("heard %+v", h.last())
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, dir+"/shop.yaml", yaml("shop.example.com"))
		h.wait(t, "there", func(s map[string]apps.State) bool { return hosts(s["shop.yaml"]) != "" })
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
		h.wait(t, "gone", func(s map[string]apps.State) bool { return len(s) == 0 })
	}
}

func TestFolderOfLinks(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	write(t, elsewhere+"/app", yaml("shop.example.com"))
	if err := errors.Join(os.Symlink(elsewhere+"/app", dir+"/shop.yaml"), os.Symlink(elsewhere+"/none", dir+"/none.yaml"), os.Symlink(elsewhere, dir+"/dir.yaml")); err != nil {
		t.Fatal(err)
	}
	h := watch(t, dir)
	if s := h.last(); hosts(s["shop.yaml"]) != "shop.example.com" || s["none.yaml"].Err == nil || len(s) != 2 {
		t.Fatalf("heard %+v", s)
	}
	write(t, elsewhere+"/app", yaml("other.example.com"))
	h.wait(t, "a change elsewhere", func(s map[string]apps.State) bool { return hosts(s["shop.yaml"]) == "other.example.com" })
	write(t, elsewhere+"/none", yaml("none.example.com"))
	h.wait(t, "a file where the link leads", func(s map[string]apps.State) bool { return s["none.yaml"].Err == nil })
}

func TestFolderManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/first.yaml", yaml("first.example.com"))
	h := watch(t, dir)
	began := time.Now()
	for i := range 200 {
		text := yaml(fmt.Sprintf("app%d.example.com", i))
		if i%40 == 0 {
			text = "hosts: ["
		}
		write(t, fmt.Sprintf("%s/app%d.yaml", dir, i), text)
	}
	h.wait(t, "all", func(s map[string]apps.State) bool { return len(s) == 201 })
	wrong := 0
	for _, s := range h.last() {
		if s.Err != nil {
			wrong++
		}
	}
	if few := 3 + int(time.Since(began)/(300*time.Millisecond)); wrong != 5 || h.count() > few {
		t.Errorf("%d are wrong, want 5; %d calls, want %d at most", wrong, h.count(), few)
	}
	states := h.calls[h.count()-1]
	for i := range len(states) - 1 {
		if states[i].File >= states[i+1].File {
			t.Fatalf("%s is before %s", states[i].File, states[i+1].File)
		}
	}
}

// TestFolderNames: who has a name keeps it, until it is gone.
func TestFolderNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/shop.yaml", yaml("yaml.example.com"))
	h := watch(t, dir)
	write(t, dir+"/shop.ini", ini("ini.example.com"))
	h.wait(t, "refused", func(s map[string]apps.State) bool { return s["shop.ini"].Err != nil })
	if s := h.last(); s["shop.ini"].Fragment != nil || hosts(s["shop.yaml"]) == "" || !strings.Contains(s["shop.ini"].Err.Error(), `the name "shop" is already that of `+dir+"/shop.yaml") {
		t.Errorf("heard %+v", s)
	}
	if err := os.Remove(dir + "/shop.yaml"); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "the other", func(s map[string]apps.State) bool {
		return hosts(s["shop.ini"]) == "ini.example.com" && s["shop.ini"].Err == nil
	})
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.yaml": yaml("good.example.com"), "good2.yml": yaml("good2.example.com"), "vassal.ini": ini("v.example.com"),
		"old.xml": "<uwsgi/>", "old.json": "{}", "README": "x", "notes.txt": "x",
		".hidden.yaml": "x", "#x.yaml": "x", "x.yaml~": "x", ".x.yaml.swp": "x", "x.yaml.dpkg-new": "x", "x.dpkg-old.yaml": "x",
		"huge.ini": strings.Repeat("#\n", 1<<20),
	} {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.Mkdir(dir+"/sub.yaml", 0o755); err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]string{
		dir:                       "good.yaml good2.yml huge.ini! old.json! old.xml! vassal.ini",
		dir + "/":                 "good.yaml good2.yml huge.ini! old.json! old.xml! vassal.ini",
		dir + "/*.{yaml,ini}":     "good.yaml huge.ini! vassal.ini",
		dir + "/{g*.y{a,}ml,v*}":  "good.yaml good2.yml vassal.ini",
		dir + "/{README,*d.yaml}": "README! good.yaml",
		dir + "/good.yaml":        "good.yaml",
	} {
		states, err := apps.Read(pattern, nil)
		var got []string
		for _, s := range states {
			name := filepath.Base(s.File)
			if s.Err != nil {
				name += "!"
			} else if s.Fragment == nil || s.Name != s.Fragment.Name {
				t.Errorf("%+v", s)
			}
			got = append(got, name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v, want %s", pattern, got, err, want)
		}
	}
	if _, err := apps.Read(dir+"/none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of nothing = %v", err)
	}
	for _, pattern := range []string{"", "/x/*.{yaml,ini", "/x/[", "/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"} {
		if _, err := apps.Open(pattern, nil, nil); err == nil || !strings.HasPrefix(err.Error(), "apps: ") || !strings.Contains(err.Error(), ": write") && !strings.Contains(err.Error(), ": name") {
			t.Errorf("Open(%q) = %v, want what to write", pattern, err)
		}
	}
}
