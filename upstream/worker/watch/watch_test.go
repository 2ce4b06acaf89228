package watch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/upstream/worker/watch"
)

func TestFilesThatChange(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("app.py", "1")
		s.write("shop/views.py", "1")
	}, func(s *scene) {
		s.write("app.py", "22")
		s.expect("app.py")
		s.write("shop/views.py", "22")
		s.write("shop/new.py", "1")
		s.expect("shop/views.py", "shop/new.py")
		s.ok(os.Remove(s.path("shop/new.py")))
		s.expect("shop/new.py")
	})
}

func TestNewFileInPlaceOfTheOld(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("app.py", "1")
	}, func(s *scene) {
		s.write(".app.py.swp", "of an editor")
		s.rename("app.py", "app.py~")
		s.write("app.py", "22")
		s.ok(os.Remove(s.path("app.py~")))
		s.expect("app.py")
		s.write("app.tmp", "333")
		s.rename("app.tmp", "app.py")
		s.expect("app.py")
	})
}

func TestWhatDoesNotCount(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("app.py", "1")
		s.write("data.json", "1")
		s.write(".git/hooks/a.py", "1")
		s.write("env/pyvenv.cfg", "1")
		s.write("env/lib/b.py", "1")
	}, func(s *scene) {
		s.ok(os.Chmod(s.path("app.py"), 0o600))
		s.write("data.json", "22")
		s.write(".git/hooks/a.py", "22")
		s.write("env/lib/b.py", "22")
		s.write("__pycache__/c.py", "1")
		s.write("web/node_modules/d.py", "1")
		s.ok(os.Mkdir(s.path("empty"), 0o755))
		s.write("mark.py", "1")
		s.expect("mark.py")
		s.write("__pycache__/c.py", "22")
		s.write("mark.py", "22")
		s.expect("mark.py")
	})
}

func TestTouchCounts(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("app.py", "1")
	}, func(s *scene) {
		later := time.Now().Add(time.Hour)
		s.ok(os.Chtimes(s.path("app.py"), later, later))
		s.expect("app.py")
	})
}

func TestDirectoriesComeAndGo(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("app.py", "1")
	}, func(s *scene) {
		s.write("a/b/c/deep.py", "1")
		s.write("a/top.py", "1")
		s.expect("a/b/c/deep.py", "a/top.py")
		s.write("a/b/c/deep.py", "22")
		s.expect("a/b/c/deep.py")
		s.ok(os.RemoveAll(s.path("a")))
		s.expect("a/b/c/deep.py", "a/top.py")
		s.write("a/b/c/deep.py", "333")
		s.expect("a/b/c/deep.py")
		s.write("a/b/c/deep.py", "4444")
		s.expect("a/b/c/deep.py")
	})
}

func TestDirectoryReplacedAtOnce(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("a/b/one.py", "1")
	}, func(s *scene) {
		for i := range 3 { // the inode may be the same again
			s.ok(os.RemoveAll(s.path("a")))
			s.write("a/b/one.py", strings.Repeat("x", 10*i+7))
			s.expect("a/b/one.py")
			s.write("a/b/one.py", strings.Repeat("x", 10*i+8))
			s.expect("a/b/one.py")
		}
	})
}

func TestMovedDirectory(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("old/sub/one.py", "1")
		s.write("other/two.py", "1")
		s.write("to/app.py", "1")
	}, func(s *scene) {
		s.rename("old", "to/new")
		s.expect("old/sub/one.py", "to/new/sub/one.py")
		s.write("to/new/sub/one.py", "22")
		s.expect("to/new/sub/one.py")
		s.rename("other", "old") // the name of the one that was moved
		s.expect("other/two.py", "old/two.py")
		s.write("old/two.py", "22")
		s.write("to/new/sub/one.py", "333")
		s.expect("old/two.py", "to/new/sub/one.py")
	})
}

func TestSwappedDirectories(t *testing.T) {
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("a/x/one.py", "1")
		s.write("b/y/two.py", "1")
	}, func(s *scene) {
		s.rename("a", "c")
		s.rename("b", "a")
		s.rename("c", "b")
		s.expect("a/x/one.py", "b/y/two.py", "a/y/two.py", "b/x/one.py")
		s.write("a/y/two.py", "22")
		s.write("b/x/one.py", "22")
		s.expect("a/y/two.py", "b/x/one.py")
	})
}

func TestMovedOutAndBack(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		w.Dirs = []string{s.path("in")}
		s.write("in/a/b/one.py", "1")
	}, func(s *scene) {
		s.rename("in/a", "out")
		s.expect("in/a/b/one.py")
		s.write("out/b/one.py", "22") // nobody's
		s.rename("out", "in/a")
		s.expect("in/a/b/one.py")
		s.write("in/a/b/one.py", "333")
		s.expect("in/a/b/one.py")
	})
}

func TestRootsComeAndGo(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		w.Dirs = []string{s.path("root")}
	}, func(s *scene) {
		s.write("root/app.py", "1")
		s.expect("root/app.py")
		s.write("root/app.py", "22")
		s.expect("root/app.py")
		s.rename("root", "away")
		s.expect("root/app.py")
		s.write("away/app.py", "333")
		s.rename("away", "root")
		s.expect("root/app.py")
		s.ok(os.RemoveAll(s.path("root")))
		s.expect("root/app.py")
		s.write("root/app.py", "55555")
		s.expect("root/app.py")
		s.write("root/app.py", "666666")
		s.expect("root/app.py")
	})
}

func TestRootIsALink(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		s.write("releases/1/shop/app.py", "1")
		s.write("releases/2/shop/app.py", "1")
		s.ok(os.Symlink("releases/1", s.path("current")))
		w.Dirs = []string{s.path("current"), s.path("current/shop")} // the second is in the first
	}, func(s *scene) {
		s.write("releases/1/shop/app.py", "22")
		s.expect("current/shop/app.py")
		s.ok(os.Symlink("releases/2", s.path("next")))
		s.rename("next", "current")
		s.expect("current/shop/app.py")
		s.write("releases/1/shop/app.py", "333") // nobody's any more
		s.write("releases/2/shop/app.py", "4444")
		s.expect("current/shop/app.py")
	})
}

func TestLinksToFiles(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) { // as Kubernetes has files of a ConfigMap
		s.write("conf/..1/app.ini", "1")
		s.write("conf/..2/app.ini", "22")
		s.ok(os.Symlink("..1", s.path("conf/..data")))
		s.ok(os.Symlink("..data/app.ini", s.path("conf/app.ini")))
		s.ok(os.Symlink("nowhere", s.path("conf/broken.ini")))
		w.Dirs = []string{s.path("conf")}
		w.Skip = func(dir string) bool { return strings.HasPrefix(filepath.Base(dir), "..") }
	}, func(s *scene) {
		s.ok(os.Symlink("..2", s.path("conf/..tmp")))
		s.rename("conf/..tmp", "conf/..data")
		s.expect("conf/app.ini")
	})
}

func TestOneDirectoryByTwoNames(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		s.write("real/sub/app.py", "1")
		s.ok(os.Symlink("real", s.path("link")))
		w.Dirs = []string{s.path("link"), s.path("real"), s.path("real/sub"), s.path("real") + "/"}
	}, func(s *scene) {
		s.write("real/sub/app.py", "22")
		s.expect("link/sub/app.py", "real/sub/app.py")
		s.ok(os.Remove(s.path("link"))) // the one that the kernel knows, perhaps
		s.expect("link/sub/app.py")
		s.write("real/sub/app.py", "333")
		s.expect("real/sub/app.py")
	})
}

func TestManyFilesAreOneCall(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		w.Quiet = time.Second
		for i := range 300 {
			s.write(fmt.Sprintf("d%d/f%d.py", i%10, i), "1")
		}
	}, func(s *scene) {
		for i := range 300 {
			s.write(fmt.Sprintf("d%d/f%d.py", i%10, i), "22")
		}
		s.wait(func() bool { return s.calls > 0 })
		s.mu.Lock()
		n := len(s.found)
		clear(s.found)
		s.mu.Unlock()
		if n != 100 {
			s.Errorf("%d files, want the first 100", n)
		}
		s.write("last.py", "1")
		s.expect("last.py")
		if s.mu.Lock(); s.calls != 2 {
			s.Errorf("%d calls, want 2", s.calls)
		}
		s.mu.Unlock()
	})
}

func TestNeverQuiet(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		w.Quiet = 3 * time.Second
	}, func(s *scene) {
		begun := time.Now()
		change := time.NewTicker(200 * time.Millisecond)
		defer change.Stop()
		for size := 1; ; size++ {
			s.write("app.py", strings.Repeat("x", size))
			<-change.C
			s.mu.Lock()
			calls := s.calls
			s.mu.Unlock()
			if calls > 0 {
				break
			}
			if time.Since(begun) > 15*time.Second {
				s.Fatal("not called in 15 s")
			}
		}
		if d := time.Since(begun); d < 4*time.Second {
			s.Errorf("called after %v, want 5 s", d)
		}
	})
}

func TestWhatCannotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read all")
	}
	both(t, func(s *scene, _ *watch.Setup) {
		s.write("secret/app.py", "1")
		s.ok(os.Chmod(s.path("secret"), 0))
		s.Cleanup(func() { _ = os.Chmod(s.path("secret"), 0o755) })
	}, func(s *scene) {
		s.write("app.py", "1")
		s.expect("app.py")
		if s.mu.Lock(); len(s.troubles) != 1 || !strings.Contains(s.troubles[0], "permission denied") {
			s.Errorf("troubles %q, want one", s.troubles)
		}
		s.mu.Unlock()
	})
}

func TestRootIsAFile(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		s.write("app.py", "1")
		w.Dirs = append(w.Dirs, s.path("app.py"))
	}, func(s *scene) {
		s.write("app.py", "22")
		s.expect("app.py")
		if s.mu.Lock(); len(s.troubles) != 1 || !strings.Contains(s.troubles[0], "is no directory") {
			s.Errorf("troubles %q, want one", s.troubles)
		}
		s.mu.Unlock()
	})
}

// within limits what a scene watches.
func within(dirs, files int) func(ctx context.Context, s watch.Setup) error {
	return func(ctx context.Context, s watch.Setup) error { return watch.RunWithin(ctx, s, dirs, files) }
}

func TestTooManyDirectoriesArePolled(t *testing.T) {
	t.Parallel()
	play(t, false, func(s *scene, w *watch.Setup) {
		s.run = within(20, 1000)
		for i := range 19 {
			s.ok(os.Mkdir(s.path(fmt.Sprint(i)), 0o755))
		}
	}, func(s *scene) {
		s.write("7/app.py", "1")
		s.expect("7/app.py")
		if s.mu.Lock(); len(s.troubles) > 0 {
			s.Errorf("troubles %q with 20 directories", s.troubles)
		}
		s.mu.Unlock()
		s.write("one/more/app.py", "1")
		s.expect("one/more/app.py")
		s.write("7/app.py", "22")
		s.write("one/more/app.py", "22")
		s.expect("7/app.py", "one/more/app.py")
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.troubles) != 1 || !s.polling || !strings.Contains(s.troubles[0], "more than 20 directories") {
			s.Errorf("troubles %q, polling %v; want to be told of polling once", s.troubles, s.polling)
		}
	})
}

func TestTooManyFiles(t *testing.T) {
	both(t, func(s *scene, w *watch.Setup) {
		s.run = within(100, 11)
		for i := range 10 { // and the directory
			s.write(fmt.Sprintf("%d.py", i), "1")
		}
	}, func(s *scene) {
		s.write("more.py", "1")
		s.write("sub/more.py", "1")
		s.write("3.py", "22")
		s.expect("3.py")
		s.ok(os.Remove(s.path("3.py")))
		s.expect("3.py")
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.troubles) != 1 || s.polling || !strings.Contains(s.troubles[0], "more than 11 files and directories") {
			s.Errorf("troubles %q, want to be told once", s.troubles)
		}
	})
}

func TestSlowListenerLosesNothing(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	play(t, false, func(s *scene, w *watch.Setup) {
		w.Found = func(files []string) {
			<-goOn
			s.find(files)
		}
	}, func(s *scene) {
		s.write("first.py", "1")
		<-time.After(200 * time.Millisecond) // so that it is told alone, most likely
		for i := range 8000 {                // more than the kernel keeps for us
			s.write("busy.py", strings.Repeat("x", i%7))
			s.ok(os.Remove(s.path("busy.py")))
		}
		s.write("new/last.py", "1")
		close(goOn)
		s.expect("first.py", "new/last.py")
	})
}

func TestRunNeedsFound(t *testing.T) {
	if err := watch.Run(context.Background(), watch.Setup{}); err == nil || !strings.Contains(err.Error(), "set Found") {
		t.Errorf("error %v", err)
	}
}

func TestPythonFiles(t *testing.T) {
	for file, want := range map[string]bool{
		"/srv/app.py": true, "a/b.HTML": true, "x.jinja2": true, "pyproject.toml": true, ".env": true, ".env.local": true,
		"prod.env": true, "locale/de/django.mo": true, "uwsgi.ini": true, "settings.yml": true,
		"data.json": false, "db.sqlite3": false, "app.pyc": false, "notes.txt": false, ".#app.py": false, "app.py~": false,
		".app.py.swp": false, "4913": false, "app.log": false, "app.css": false, "py": false,
	} {
		if got := watch.PythonFiles(file); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}

func TestSkipUsual(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]bool{
		".git": true, ".venv": true, "__pycache__": true, "node_modules": true, "site-packages": true,
		"shop": false, "static": false, "env": false,
	} {
		if got := watch.SkipUsual(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	venv := filepath.Join(dir, "env")
	if err := os.Mkdir(venv, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(venv, "pyvenv.cfg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if !watch.SkipUsual(venv) {
		t.Error("a virtual environment is not skipped")
	}
}
