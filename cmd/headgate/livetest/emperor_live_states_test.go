package livetest_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestEmperorStates: what becomes of a file that is added, broken, mended, renamed, and
// in the way of another, while a neighbour is asked.
func TestEmperorStates(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/page.html", "a page")
	shared := fmt.Sprintf("pools: {shared: {workers: {app: app.py, chdir: %q, server: builtin, processes: 1, env: {NOTE: shared}%s}}}\n",
		"CODE", emperorAsNobody())
	e := startEmperor(t, "")
	withShared := strings.ReplaceAll(shared, "CODE", e.code)
	e.add(t, "neighbour", emperorApp{})
	e.serves(t, e.host("neighbour"))
	v := e.visit(t, 1, []string{"neighbour"}, h1, h2, h3)

	e.add(t, "a", emperorApp{env: "NOTE: first"})
	first := e.serves(t, e.host("a"))
	before := e.waitReady(t, "a")
	t.Run("broken", func(t *testing.T) {
		e.put(t, e.path("a", ".yaml"), "hosts: [x.localhost]\nworkers: {app: app.py, prozesses: 1}\n")
		e.waitState(t, e.name+"a.yaml", "kept", ".yaml:2:")
		if code, body := e.get(t, e.client(t, h1), h1, e.host("a"), "/"); code != http.StatusOK || body != first {
			t.Errorf("the app whose file is broken answers %d %s, before %s", code, body, first)
		}
		if p := e.waitReady(t, "a"); p.Workers.Generation != before.Workers.Generation {
			t.Errorf("generation %d, before %d", p.Workers.Generation, before.Workers.Generation)
		}
	})
	t.Run("mended", func(t *testing.T) {
		e.add(t, "a", emperorApp{env: "NOTE: second"})
		e.waitState(t, e.name+"a.yaml", "ok", "")
		if !eventually(10*time.Second, func() bool {
			_, body := e.get(t, e.client(t, h1), h1, e.host("a"), "/")
			return strings.HasSuffix(body, "second")
		}) {
			t.Error("the app goes on as it was")
		}
	})
	t.Run("renamed", func(t *testing.T) {
		if err := os.Rename(e.path("a", ".yaml"), e.path("b", ".yaml")); err != nil {
			t.Fatal(err)
		}
		e.waitState(t, e.name+"b.yaml", "ok", "")
		e.serves(t, e.host("a"))
		ok := eventually(20*time.Second, func() bool { s := e.status(t); return s.pool(e.name+"a") == nil && len(e.files("a")) == 0 })
		if !ok {
			t.Errorf("the old name is left: %v", e.files("a"))
		}
	})
	t.Run("host of another", func(t *testing.T) {
		e.add(t, "c", emperorApp{host: e.host("a")})
		e.waitState(t, e.name+"c.yaml", "broken", "already belongs to "+e.path("b", ".yaml"))
		if body := e.serves(t, e.host("a")); !strings.Contains(body, "second") {
			t.Errorf("the first in the order of names does not serve: %s", body)
		}
		if err := os.Remove(e.path("b", ".yaml")); err != nil {
			t.Fatal(err)
		}
		e.waitState(t, e.name+"c.yaml", "ok", "")
		e.wantGone(t, "b")
		e.serves(t, e.host("a"))
	})
	t.Run("no directory", func(t *testing.T) {
		for _, root := range []string{dir + "/nowhere", dir} {
			e.put(t, e.path("f", ".yaml"), fmt.Sprintf("hosts: [%s]\nhttp: serve\nroutes: [{path: /static/, files: {root: %q}}]\n", e.host("f"), root))
			emperorAsRoot(t, e.path("f", ".yaml"))
			if root != dir {
				e.waitState(t, e.name+"f.yaml", "broken", "create the directory")
				continue
			}
			e.waitState(t, e.name+"f.yaml", "ok", "")
			if code, body := e.get(t, e.client(t, h1), h1, e.host("f"), "/static/page.html"); code != http.StatusOK {
				t.Errorf("%d %s", code, body)
			}
		}
	})
	t.Run("pool of the main file", func(t *testing.T) {
		e.put(t, e.path("m", ".yaml"), fmt.Sprintf("hosts: [%s]\nhttp: serve\nroutes: [{pool: shared}]\n", e.host("m")))
		e.waitState(t, e.name+"m.yaml", "broken", "shared")
		for range 2 {
			e.main(t, withShared)
			e.reload(t)
			e.waitState(t, e.name+"m.yaml", "ok", "")
			if body := e.serves(t, e.host("m")); !strings.HasSuffix(body, "shared") {
				t.Errorf("answer %s", body)
			}
			e.main(t, "")
			e.reload(t)
			e.waitState(t, e.name+"m.yaml", "broken", "shared")
		}
	})
	t.Run("name of a pool", func(t *testing.T) {
		e.main(t, strings.ReplaceAll(withShared, "shared", e.name+"p"))
		e.reload(t)
		e.add(t, "p", emperorApp{host: e.host("q")})
		e.waitState(t, e.name+"p.yaml", "broken", "the name")
		e.main(t, "")
		e.reload(t)
		e.waitState(t, e.name+"p.yaml", "ok", "")
		e.serves(t, e.host("q"))
	})
	t.Run("main file broken", func(t *testing.T) {
		e.main(t, "pools: 7\n")
		e.add(t, "z", emperorApp{})
		if !eventually(5*time.Second, func() bool { s := e.status(t); return s.LastReload.Error != "" }) {
			t.Error("status says nothing of the refused reload")
		}
		e.main(t, "")
		e.reload(t)
		e.serves(t, e.host("z"))
	})
	v.end(t, 100)
}

// emperorAsNobody is the user of workers in the main file.
func emperorAsNobody() string {
	if os.Geteuid() == 0 {
		return ", user: nobody"
	}
	return ""
}

// emperorAsRoot gives a file to root, if that is who we are.
func emperorAsRoot(t testing.TB, file string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(file, 0, 0); err != nil {
		t.Fatal(err)
	}
}

func (e *emperor) reload(t testing.TB) {
	t.Helper()
	if _, stderr, code := run(t, headgate, "reload", "-c", e.file); code != 0 {
		t.Errorf("headgate reload: %s", stderr)
	}
}
