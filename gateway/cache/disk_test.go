package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

// fileGot is a client that takes files.
type fileGot struct {
	got
	files int
}

func (g *fileGot) SendFile(f *os.File, offset, n int64) (int64, error) {
	g.files++
	p := make([]byte, n)
	if _, err := f.ReadAt(p, offset); err != nil {
		return 0, err
	}
	g.body.Write(p)
	return n, nil
}

func onDisk(dir string) cache.StoreOptions {
	return cache.StoreOptions{Memory: 8 << 20, Dir: dir, Disk: 4 << 20, Large: 8 * kib}
}

func files(t *testing.T, dir, end string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+end))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// eventually waits for something that happens in the background.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not in 10 s", what)
		}
	}
}

func large(i int) string { return strings.Repeat(fmt.Sprintf("%08d", i), 4*kib) } // 32 KiB

func largeApp(_ int, r wire.Request) answer {
	var i int
	fmt.Sscanf(r.Target, "/%d", &i)
	return answer{lines: []string{"Cache-Control: max-age=3600", `ETag: "v1"`, "Content-Type: text/plain", "X-Bytes: \xff\xfe"}, body: large(i), pieces: 7}
}

func TestLargeAnswersAreFiles(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		dir := t.TempDir()
		f := newFrontWith(t, onDisk(dir), cache.Options{}, func(n int, r wire.Request) answer {
			a := largeApp(n, r)
			a.chunked = chunked
			return a
		})
		if g := f.get("/1"); !g.whole || g.body.String() != large(1) {
			t.Fatalf("got %v", g)
		}
		if st := f.store.Stats(); st.Entries != 1 || st.Disk < 32*kib || st.Memory > 8*kib {
			t.Errorf("stats: %+v", st)
		}
		if n, tmp := len(files(t, dir, ".answer")), len(files(t, dir, ".tmp")); n != 1 || tmp != 0 {
			t.Errorf("%d files, %d unfinished", n, tmp)
		}
		if g := f.get("/1"); !g.whole || g.body.String() != large(1) || g.trace[0] != "hit" || g.length != 32*kib {
			t.Errorf("got %v", g)
		}
		if g := f.get("/1", "Range: bytes=8-15"); g.body.String() != "00000001" || g.status != 206 {
			t.Errorf("got %v", g)
		}
		if g := f.get("/1", "Range: bytes=8-15,32760-"); strings.Count(g.body.String(), "00000001") != 2 || g.status != 206 || !g.whole {
			t.Errorf("got %v", g)
		}
		g := &fileGot{}
		if !f.store.Serve(f.policy, request("GET", "/1"), g, &way{app: f.app}) || g.files != 1 || g.body.String() != large(1) {
			t.Errorf("sendfile: got %v, %d files", g, g.files)
		}
	}
}

func TestDiskIsBounded(t *testing.T) {
	dir := t.TempDir()
	o := onDisk(dir)
	o.Disk = 512 * kib
	f := newFrontWith(t, o, cache.Options{}, largeApp)
	for i := range 50 {
		if g := f.get(fmt.Sprint("/", i)); !g.whole {
			t.Fatalf("got %v", g)
		}
	}
	st := f.store.Stats()
	sum := int64(0)
	for _, name := range files(t, dir, "*") {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if st.Disk > 512*kib || sum != st.Disk || st.Entries < 10 || st.Evicted != 50-st.Entries {
		t.Errorf("%d bytes of files; stats: %+v", sum, st)
	}
	if g := f.get("/49"); g.trace[0] != "hit" {
		t.Errorf("the last used: got %v", g)
	}
	o.Disk = 100 * kib
	if err := f.store.Configure(o); err != nil {
		t.Fatal(err)
	}
	if st := f.store.Stats(); st.Disk > 100*kib || len(files(t, dir, ".answer")) > 3 {
		t.Errorf("after less was configured: %+v", st)
	}
	o.Dir = ""
	if err := f.store.Configure(o); err != nil {
		t.Fatal(err)
	}
	if st := f.store.Stats(); st.Disk != 0 || st.Entries != 0 || len(files(t, dir, ".answer")) == 0 {
		t.Errorf("without dir: %+v", st)
	}
}

// TestRestart: a new process has what an earlier one kept, as it was.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	f := newFrontWith(t, onDisk(dir), cache.Options{Query: []string{"q"}}, func(n int, r wire.Request) answer {
		a := largeApp(n, r)
		a.lines = append(a.lines, "Vary: X-A", "Cache-Tag: t1,t2")
		return a
	})
	stop := f.run()
	f.get("/1?q=1&x=2", "X-A: 1")
	f.get("/1?q=1", "X-A: 2")
	f.get("/2")
	first := f.get("/2")
	stop()
	if n := len(files(t, dir, ".answer")); n != 3 {
		t.Fatalf("%d files", n)
	}
	again := newFrontWith(t, onDisk(dir), cache.Options{Query: []string{"q"}}, largeApp)
	again.run()
	eventually(t, "loading", func() bool { return again.store.Stats().Entries == 3 })
	for _, g := range []*got{again.get("/1?q=1", "X-A: 1"), again.get("/1?q=1&y", "X-A: 2"), again.get("/2")} {
		if g.trace[0] != "hit" || !g.whole || !strings.HasPrefix(g.body.String(), "0000000") || g.header.Get("X-Bytes") != "\xff\xfe" || g.header.Get("ETag") != `"v1"` {
			t.Errorf("got %v", g)
		}
	}
	if g := again.get("/2"); g.header.Get("Date") != first.header.Get("Date") || g.body.String() != large(2) {
		t.Errorf("got %v, want it like %v", g, first)
	}
	if n, err := again.store.Purge(cache.Purge{Tag: "t2"}); n != 3 || err != nil || len(files(t, dir, ".answer")) != 0 {
		t.Errorf("purge: %d, %v, and %d files", n, err, len(files(t, dir, ".answer")))
	}
}

// TestDamagedFiles are removed and never given to anybody.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	f := newFrontWith(t, onDisk(dir), cache.Options{}, largeApp)
	stop := f.run()
	f.get("/1")
	stop()
	name := files(t, dir, ".answer")[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"empty": nil, "cut": whole[:len(whole)-1], "short": whole[:10], "longer": append(bytes.Clone(whole), 'x'), "twice": append(bytes.Clone(whole), whole...)}
	for i := range 60 {
		p := bytes.Clone(whole)
		p[rand.IntN(len(p))] ^= 1 << rand.IntN(8)
		damaged[fmt.Sprint("bit ", i)] = p
		damaged[fmt.Sprint("zeros ", i)] = append(bytes.Clone(whole[:rand.IntN(len(whole))]), make([]byte, 10)...)
	}
	os.Remove(name)
	for what, p := range damaged {
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(what, " ", "-")+".answer"), p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"x.tmp", "foreign.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := newFrontWith(t, onDisk(dir), cache.Options{}, largeApp)
	again.run()
	eventually(t, "cleaning", func() bool { return len(files(t, dir, ".answer")) == 0 })
	if st := again.store.Stats(); st.Entries != 0 || len(files(t, dir, ".tmp")) != 0 || len(files(t, dir, ".txt")) != 1 {
		t.Errorf("%+v, files %q", st, files(t, dir, "*"))
	}
}

// TestRevalidatedFileKeepsItsNewHead over a restart.
func TestRevalidatedFileKeepsItsNewHead(t *testing.T) {
	dir := t.TempDir()
	app := func(n int, r wire.Request) answer {
		if n > 1 {
			return answer{status: 304, lines: []string{"Cache-Control: max-age=1000", "X-N: 2"}}
		}
		return largeApp(n, r)
	}
	f := newFrontWith(t, onDisk(dir), cache.Options{}, app)
	stop := f.run()
	f.get("/1", "")
	if g := f.get("/1", "Cache-Control: no-cache"); g.trace[0] != "revalidated" || g.body.String() != large(1) {
		t.Fatalf("got %v", g)
	}
	stop()
	again := newFrontWith(t, onDisk(dir), cache.Options{}, app)
	again.run()
	eventually(t, "loading", func() bool { return again.store.Stats().Entries == 1 })
	if g := again.get("/1"); g.header.Get("X-N") != "2" || g.body.String() != large(1) || g.header.Get("Cache-Control") != "max-age=1000" {
		t.Errorf("got %v", g)
	}
}

// TestFileThatIsGone is a miss.
func TestFileThatIsGone(t *testing.T) {
	dir := t.TempDir()
	f := newFrontWith(t, onDisk(dir), cache.Options{}, largeApp)
	f.get("/1")
	os.Remove(files(t, dir, ".answer")[0])
	if g := f.get("/1"); g.trace[0] != "miss" || g.body.String() != large(1) || f.store.Stats().Entries != 1 {
		t.Errorf("got %v", g)
	}
}

// TestDirectoryThatFails: clients get their answers, and one line is logged.
func TestDirectoryThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	var log bytes.Buffer
	st := cache.NewStore(cache.Setup{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := st.Configure(onDisk(dir)); err != nil {
		t.Fatal(err)
	}
	f := &front{t: t, store: st, policy: policy(t, cache.Options{}), app: &app{says: largeApp}}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if g := f.get(fmt.Sprint("/", i)); !g.whole || g.body.String() != large(i) {
			t.Errorf("got %v", g)
		}
	}
	if n := strings.Count(log.String(), "cannot be written to"); n != 1 {
		t.Errorf("%d lines: %s", n, &log)
	}
	if s := st.Stats(); s.Refused["disk"] != 5 || s.Disk != 0 || s.Memory != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestDirectoryThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFront(t, cache.Options{}, largeApp)
	f.get("/1")
	before := f.store.Stats()
	err := f.store.Configure(cache.StoreOptions{Dir: filepath.Join(file, "x"), Memory: notation.MiB})
	if err == nil || !strings.HasPrefix(err.Error(), "dir: ") || !strings.Contains(err.Error(), ": choose ") {
		t.Errorf("got %v", err)
	}
	if after := f.store.Stats(); after.Entries != before.Entries || f.get("/1").trace[0] != "hit" {
		t.Errorf("it has changed something: %+v", after)
	}
}

// TestDirectoryOfAnother is used once the other has ended: as when a new binary takes
// over.
func TestDirectoryOfAnother(t *testing.T) {
	dir := t.TempDir()
	old := newFrontWith(t, onDisk(dir), cache.Options{}, largeApp)
	stop := old.run()
	next := newFrontWith(t, onDisk(dir), cache.Options{}, largeApp)
	next.run()
	old.get("/1")
	if g := next.get("/2"); !g.whole || next.store.Stats().Disk != 0 {
		t.Errorf("got %v, %+v", g, next.store.Stats())
	}
	if _, err := next.store.Purge(cache.Purge{URL: "/3"}); err != nil {
		t.Fatal(err)
	}
	old.get("/3")
	stop()
	eventually(t, "taking over", func() bool { return next.store.Stats().Disk > 0 })
	eventually(t, "loading", func() bool { return next.get("/1").trace[0] == "hit" })
	if g := next.get("/3"); g.trace[0] != "miss" {
		t.Errorf("what was purged before it was loaded: got %v", g)
	}
}

// TestSlowReaderOfAFileThatIsEvicted gets all of it.
func TestSlowReaderOfAFileThatIsEvicted(t *testing.T) {
	f := newFrontWith(t, onDisk(t.TempDir()), cache.Options{}, largeApp)
	for _, hit := range []bool{false, true} {
		g := &got{}
		g.write = func([]byte) error { _, err := f.store.Purge(cache.Purge{All: true}); return err }
		f.doTo(request("GET", "/1"), g)
		if !g.whole || g.body.String() != large(1) {
			t.Errorf("hit %v: got %v", hit, g)
		}
		f.get("/1")
	}
	if st := f.store.Stats(); st.Entries != 1 {
		t.Errorf("stats: %+v", st)
	}
}

// TestKilled: a process that ends anywhere leaves nothing that is served wrong.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	f := newFrontWith(t, onDisk(dir), cache.Options{}, func(n int, r wire.Request) answer {
		a := largeApp(n, r)
		a.between = func(context.Context, wire.Answer) {
			for _, name := range files(t, dir, ".tmp") { // what is there now stays, as if the process ended here
				p, err := os.ReadFile(name)
				if err != nil {
					continue // it is whole by now
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("left", n, ".answer")), p, 0o600); err != nil {
					t.Error(err)
				}
			}
		}
		return a
	})
	stop := f.run()
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() { f.get(fmt.Sprint("/", i)) })
	}
	wg.Wait()
	stop()
	again := newFrontWith(t, onDisk(dir), cache.Options{}, largeApp)
	again.run()
	eventually(t, "loading", func() bool { return again.store.Stats().Entries == 5 && len(files(t, dir, ".answer")) == 5 })
	for i := range 5 {
		if g := again.get(fmt.Sprint("/", i)); g.trace[0] != "hit" || g.body.String() != large(i) {
			t.Errorf("got %v", g)
		}
	}
}
