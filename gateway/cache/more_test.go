package cache_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

// sender is an app that answers with a part of a file.
type sender struct {
	f       *os.File
	control string
	n       int
}

func (s *sender) Detached() cache.Origin { return nil }

func (s *sender) Fetch(_ context.Context, _ wire.Fields, a wire.Answer) bool {
	s.n++
	a.WriteHead(200, fields("Cache-Control: "+s.control), 6)
	sent, err := a.(wire.FileSender).SendFile(s.f, 2, 6)
	return sent == 6 && err == nil
}

func TestAppThatSendsFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for control, want := range map[string]int{"max-age=60": 1, "no-store": 2} {
		for _, method := range []string{"GET", "FOO"} {
			f := newFront(t, cache.Options{}, nil)
			o := &sender{f: file, control: control}
			for range 2 {
				plain, direct := &got{}, &fileGot{}
				if !f.store.Serve(f.policy, request(method, "/"), plain, o) || plain.body.String() != "234567" {
					t.Errorf("%s %s: got %v", method, control, plain)
				}
				if !f.store.Serve(f.policy, request(method, "/"), direct, o) || direct.body.String() != "234567" {
					t.Errorf("%s %s: got %v", method, control, direct)
				}
				if files := direct.files; files == 0 && control == "no-store" {
					t.Errorf("%s %s: the file went through memory", method, control)
				}
			}
			if method == "GET" && o.n != map[int]int{1: 1, 2: 4}[want] {
				t.Errorf("%s: asked %d times", control, o.n)
			}
		}
	}
}

// TestTooManyTags: what a purge by tag could miss is not kept.
func TestTooManyTags(t *testing.T) {
	tags := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "t%d,", i)
		}
		return b.String()
	}
	for list, want := range map[string]string{tags(256): "hit", tags(257): "miss", strings.Repeat("x", 1025): "miss", strings.Repeat("x", 1024): "hit"} {
		f := newFront(t, cache.Options{}, always(ok("Cache-Control: max-age=60", "Cache-Tag: "+list)))
		f.get("/")
		if g := f.get("/"); g.trace[0] != want {
			t.Errorf("%s: got %v, want %s", short(list), g, want)
		}
	}
}

// TestAnswerThatIsLongerThanItSays is cut, not kept.
func TestAnswerThatIsLongerThanItSays(t *testing.T) {
	f := newFront(t, cache.Options{}, nil)
	o := origin(func(a wire.Answer) bool {
		a.WriteHead(200, fields("Cache-Control: max-age=60"), 3)
		if _, err := a.Write([]byte("abcd")); err != wire.ErrTooLong {
			t.Errorf("got %v", err)
		}
		return false
	})
	g := &got{}
	if f.store.Serve(f.policy, request("GET", "/"), g, o) || f.store.Stats().Entries != 0 {
		t.Errorf("got %v, %+v", g, f.store.Stats())
	}
}

// TestAnswerWithoutHead is 200, as elsewhere.
func TestAnswerWithoutHead(t *testing.T) {
	for _, method := range []string{"GET", "FOO"} {
		f := newFront(t, cache.Options{}, nil)
		g := &got{}
		o := origin(func(a wire.Answer) bool { _, err := a.Write([]byte("abc")); return err == nil && a.Flush() == nil })
		if !f.store.Serve(f.policy, request(method, "/"), g, o) || g.status != 200 || g.body.String() != "abc" || g.length != -1 {
			t.Errorf("%s: got %v", method, g)
		}
	}
}

type origin func(a wire.Answer) bool

func (o origin) Detached() cache.Origin { return nil }

func (o origin) Fetch(_ context.Context, _ wire.Fields, a wire.Answer) bool { return o(a) }

// TestManyPages: the index grows, shrinks and finds what is there.
func TestManyPages(t *testing.T) {
	f := newFrontWith(t, cache.StoreOptions{Memory: 32 << 20}, cache.Options{}, always(ok("Cache-Control: max-age=60")))
	const n = 2000
	for i := range n {
		f.get(fmt.Sprint("/", i))
	}
	for i := range n {
		if g := f.get(fmt.Sprint("/", i)); g.trace[0] != "hit" {
			t.Fatalf("%d: got %v", i, g)
		}
	}
	for i := range n - 10 {
		if removed, err := f.store.Purge(cache.Purge{URL: fmt.Sprint("/", i)}); i%500 == 0 && (removed != 1 || err != nil) {
			t.Fatalf("%d: removed %d, %v", i, removed, err)
		}
	}
	for i := n - 10; i < n; i++ {
		if g := f.get(fmt.Sprint("/", i)); g.trace[0] != "hit" {
			t.Fatalf("%d: got %v", i, g)
		}
	}
	if st := f.store.Stats(); st.Entries != 10 || st.Purged != n-10 {
		t.Errorf("stats: %+v", st)
	}
}

// TestKeptIsACopy: entries own what they keep.
func TestKeptIsACopy(t *testing.T) {
	f := newFront(t, cache.Options{}, always(ok("Cache-Control: max-age=60", "X-A: 1")))
	f.get("/") // the app writes over its header and its body
	if g := f.get("/"); g.header.Get("X-A") != "1" || g.header.Has("X-Overwritten") || g.body.String() != "body" {
		t.Errorf("got %v", g)
	}
}

// TestCrowdedMemory: when too much is being fetched at once, clients still get all
// of it, and the bound holds.
func TestCrowdedMemory(t *testing.T) {
	body := strings.Repeat("x", 100*kib)
	var f *front
	worst := int64(0)
	f = newFrontWith(t, cache.StoreOptions{Memory: 1 << 20}, cache.Options{}, func(int, wire.Request) answer {
		return answer{lines: []string{"Cache-Control: max-age=60"}, body: body, pieces: 10, between: func(ctx context.Context, a wire.Answer) {
			worst = max(worst, f.store.Stats().Memory)
			if n := f.app.count(); n < 10 {
				if g := f.get(fmt.Sprint("/", n)); !g.whole || g.body.String() != body {
					t.Errorf("got %v", g)
				}
			}
		}}
	})
	if g := f.get("/0"); !g.whole || g.body.String() != body {
		t.Errorf("got %v", g)
	}
	if st := f.store.Stats(); worst > 1<<20 || st.Refused["busy"] == 0 || st.Stored == 0 {
		t.Errorf("%d bytes at worst; stats: %+v", worst, st)
	}
}
