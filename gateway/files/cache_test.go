package files_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/files"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

// later is more than the time for which what is known counts.
const later = 1100 * time.Millisecond

// replace puts a new file in place of one.
func replace(t testing.TB, dir, name, content string) {
	t.Helper()
	write(t, dir, "new", content)
	must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)))
}

func TestChangesShowAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := tree(t, map[string]string{"a.txt": "one", "gone.txt": "x", "dir/index.html": "index", "z.css": "z"})
		s := open(t, files.Options{Root: dir})
		see := func(name, want string, fields ...string) {
			t.Helper()
			a := ask(t, s, "GET", name, fields...)
			if got := a.Outcome.String() + " " + a.body.String(); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
		look := func(a, gone, made, dir, form string) {
			t.Helper()
			see("a.txt", a)
			see("gone.txt", gone)
			see("made.txt", made)
			see("dir/", dir)
			see("z.css", form, "Accept-Encoding: br")
		}
		look("answered one", "answered x", "not_found ", "answered index", "answered z")
		replace(t, dir, "a.txt", "two") // the same size and time
		must(t, os.Remove(filepath.Join(dir, "gone.txt")))
		write(t, dir, "made.txt", "made")
		must(t, os.Remove(filepath.Join(dir, "dir/index.html")))
		write(t, dir, "z.css.br", "form")
		look("answered one", "answered x", "not_found ", "answered index", "answered z")
		time.Sleep(later)
		look("answered two", "not_found ", "answered made", "forbidden ", "answered form")
		must(t, os.Remove(filepath.Join(dir, "z.css.br")))
		must(t, os.Remove(filepath.Join(dir, "made.txt")))
		must(t, os.Mkdir(filepath.Join(dir, "made.txt"), 0o755))
		time.Sleep(later)
		see("z.css", "answered z", "Accept-Encoding: br")
		see("made.txt", "forbidden ")
	})
}

// TestFileWrittenInPlace is about a change that neither size nor time may show,
// because the clock of the file system is coarse.
func TestFileWrittenInPlace(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "one"})
	path := filepath.Join(dir, "a.txt")
	now := time.Now()
	must(t, os.Chtimes(path, now, now))
	s := open(t, files.Options{Root: dir})
	if a := ask(t, s, "GET", "a.txt"); a.body.String() != "one" {
		t.Fatalf("got %q", a.body.String())
	}
	must(t, os.WriteFile(path, []byte("two"), 0o644))
	must(t, os.Chtimes(path, now, now))
	until(t, func() bool { return ask(t, s, "GET", "a.txt").body.String() == "two" })
}

// until polls until ok.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Error("it does not come")
}

// TestRootThatIsSwitched is about deployments that switch a link.
func TestRootThatIsSwitched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		top := tree(t, map[string]string{"v1/a.txt": "one", "v2/a.txt": "two", "v2/b.txt": "new"})
		current := filepath.Join(top, "current")
		must(t, os.Symlink("v1", current))
		var log bytes.Buffer
		s, err := files.New(files.Options{Root: current}, slog.New(slog.NewTextHandler(&log, nil)))
		must(t, err)
		defer s.Close()
		read := func(name string) string { return ask(t, s, "GET", name).body.String() }
		if read("a.txt") != "one" || read("b.txt") != "" {
			t.Error("before")
		}
		must(t, os.Symlink("v2", current+".new"))
		must(t, os.Rename(current+".new", current))
		time.Sleep(later)
		if read("a.txt") != "two" || read("b.txt") != "new" {
			t.Errorf("after: %q %q", read("a.txt"), read("b.txt"))
		}
		must(t, os.Remove(current))
		time.Sleep(later)
		if read("a.txt") != "two" || !strings.Contains(log.String(), "directory cannot be opened any more") {
			t.Errorf("when there is none: %q, log %s", read("a.txt"), log.String())
		}
		must(t, os.Symlink("v1", current))
		time.Sleep(later)
		if read("a.txt") != "one" {
			t.Errorf("again: %q", read("a.txt"))
		}
	})
}

func TestCloseLeavesRequestsAlone(t *testing.T) {
	dir, content := spool(t)
	write(t, dir, "b.txt", "b")
	s, err := files.New(files.Options{Root: dir}, nil)
	must(t, err)
	a := &recorder{}
	a.onWrite = func([]byte) error { a.onWrite = nil; return s.Close() }
	if res := s.Serve(a, request("GET"), "large.bin"); res.Outcome != files.Answered || a.body.String() != content {
		t.Errorf("a request that runs: %v %v", res.Outcome, res.Err)
	}
	if a := ask(t, s, "GET", "b.txt"); a.body.String() != "b" {
		t.Errorf("a request that comes late: %v %v", a.Outcome, a.Err)
	}
	must(t, s.Close())
}

// TestMemoryIsBounded asks for far more than there is memory for.
func TestMemoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	const n = 400
	for i := range n {
		write(t, dir, fmt.Sprintf("f%d.bin", i), strings.Repeat(string(rune('a'+i%26)), 50_000))
	}
	s := open(t, files.Options{Root: dir, Memory: 2 * notation.MiB})
	before := heap()
	for range 2 {
		for i := range n {
			a := ask(t, s, "GET", fmt.Sprintf("f%d.bin", i))
			if want := strings.Repeat(string(rune('a'+i%26)), 50_000); a.body.String() != want {
				t.Fatalf("f%d.bin: %v, wrong content", i, a.Outcome)
			}
		}
	}
	for i := range 20_000 {
		ask(t, s, "GET", fmt.Sprintf("%d-%s", i, strings.Repeat("x", 200)))
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes, want about 2 MiB", grown)
	}
	runtime.KeepAlive(s)
}

// TestMemoryOfNamesThatAreNotThere: somebody who makes names up gets the share of the
// memory that is for them, and no more.
func TestMemoryOfNamesThatAreNotThere(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory")
	}
	s := open(t, files.Options{Root: t.TempDir(), Memory: 64 * notation.MiB})
	before := heap()
	for i := range 30_000 {
		s.Serve(&nothing{}, request("GET"), strconv.Itoa(i))
	}
	if grown := heap() - before; grown < 2<<20 || grown > 4<<20+4<<17 {
		t.Errorf("the heap has grown by %d bytes, want 4 MiB at most", grown)
	}
	runtime.KeepAlive(s)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestConcurrently replaces files while they are asked for: every answer is one of
// the contents, whole, with the tag and the length that belong to it.
func TestConcurrently(t *testing.T) {
	dir := t.TempDir()
	sizes := []int{100, 3000, 70_000, 200_000}
	content := func(size, version int) string { return strings.Repeat(string(rune('a'+version%26)), size+version) }
	for i, size := range sizes {
		write(t, dir, fmt.Sprintf("f%d.txt", i), content(size, 0))
	}
	for _, memory := range []notation.Size{notation.MiB, notation.Off} {
		s := open(t, files.Options{Root: dir, Memory: memory})
		stop := make(chan struct{})
		var wg, writer sync.WaitGroup
		writer.Go(func() {
			for version := 1; ; version++ {
				select {
				case <-stop:
					return
				default:
				}
				i := version % len(sizes)
				name := fmt.Sprintf("f%d.txt", i)
				tmp := filepath.Join(dir, "tmp")
				if err := os.WriteFile(tmp, []byte(content(sizes[i], version)), 0o644); err != nil {
					t.Error(err)
					return
				}
				os.Rename(tmp, filepath.Join(dir, name))
				os.WriteFile(filepath.Join(dir, fmt.Sprintf("on-off%d", version%3)), nil, 0o644)
				os.Remove(filepath.Join(dir, fmt.Sprintf("on-off%d", (version+1)%3)))
			}
		})
		for g := range 4 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(g), 1))
				for range 500 {
					i := random.IntN(len(sizes))
					a := &recorder{}
					var to wire.Answer = a
					if random.IntN(2) == 0 {
						to = &sender{}
						a = &to.(*sender).recorder
					}
					res := s.Serve(to, request("GET"), fmt.Sprintf("f%d.txt", i))
					check(t, "GET", res, a)
					body := a.body.String()
					if res.Outcome != files.Answered || body != content(sizes[i], len(body)-sizes[i]) || !strings.HasSuffix(a.fields.Get("ETag"), fmt.Sprintf(`-%x"`, len(body))) {
						t.Errorf("f%d.txt: %v %v, %d bytes, %v", i, res.Outcome, res.Err, len(body), a.fields)
					}
					ask(t, s, "GET", fmt.Sprintf("on-off%d", random.IntN(3)))
				}
			})
		}
		wg.Wait()
		close(stop)
		writer.Wait()
	}
}

func TestHotFileDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	dir := tree(t, map[string]string{"css/a.css": strings.Repeat("x", 4096), "css/a.css.br": strings.Repeat("y", 1024), "docs/index.html": "index"})
	s := open(t, files.Options{Root: dir, MaxAge: time.Hour})
	for _, row := range []struct{ name, accept string }{{"css/a.css", ""}, {"css/a.css", "gzip, deflate, br"}, {"docs/", "br"}, {"none.css", ""}} {
		r := request("GET", "Accept-Encoding: "+row.accept, "User-Agent: x", "Accept: */*")
		a := &nothing{}
		if n := testing.AllocsPerRun(1000, func() { s.Serve(a, r, row.name) }); n > 0 {
			t.Errorf("%v: %v allocations", row, n)
		}
	}
}

// nothing is an answer that goes nowhere.
type nothing struct{ n int }

func (a *nothing) WriteHead(int, wire.Fields, int64)    {}
func (a *nothing) Write(p []byte) (int, error)          { a.n += len(p); return len(p), nil }
func (a *nothing) Flush() error                         { return nil }
func (a *discarding) WriteHead(int, wire.Fields, int64) {}

// discarding takes files too.
type discarding struct{ nothing }

func (a *discarding) SendFile(_ *os.File, _, n int64) (int64, error) { return n, nil }

func BenchmarkServe(b *testing.B) {
	dir := tree(b, map[string]string{
		"a.css": strings.Repeat("x", 4096), "b.css": strings.Repeat("x", 4096), "b.css.br": strings.Repeat("y", 1024), "docs/index.html": strings.Repeat("x", 4096), "large.bin": strings.Repeat("x", 1<<20),
	})
	for _, bench := range []struct {
		name, file string
		memory     notation.Size
		fields     []string
	}{
		{"hot", "a.css", 0, nil},
		{"hot-br", "b.css", 0, []string{"Accept-Encoding: gzip, deflate, br, zstd"}},
		{"hot-index", "docs/", 0, nil},
		{"hot-304", "a.css", 0, []string{fmt.Sprintf(`If-None-Match: "%x-1000"`, old().Unix())}},
		{"hot-206", "a.css", 0, []string{"Range: bytes=0-99"}},
		{"hot-404", "none.css", 0, nil},
		{"large-sent", "large.bin", 0, nil},
		{"off", "a.css", notation.Off, nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := open(b, files.Options{Root: dir, Memory: bench.memory})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				a := &discarding{}
				r := request("GET", append([]string{"User-Agent: Mozilla/5.0", "Accept: */*", "Accept-Language: en", "Referer: https://example.com/", "Cookie: a=b"}, bench.fields...)...)
				for pb.Next() {
					s.Serve(a, r, bench.file)
				}
			})
		})
	}
}
