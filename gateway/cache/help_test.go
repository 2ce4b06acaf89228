package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

// answer is what an app says.
type answer struct {
	status   int // 0: 200
	lines    []string
	body     string
	chunked  bool                                     // the length is not told
	cut      bool                                     // it ends early
	none     bool                                     // there is no answer
	before   func(ctx context.Context)                // the head
	between  func(ctx context.Context, a wire.Answer) // the halves of the body
	pieces   int                                      // in which the body comes; 0: 1
	panicked any
}

// app is a scripted app.
type app struct {
	mu    sync.Mutex
	asked []wire.Request // that it was given, with their headers
	says  func(n int, r wire.Request) answer
}

func (p *app) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func (p *app) last() wire.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

// way is a cache.Origin.
type way struct {
	app *app
	r   wire.Request
}

func (w *way) Detached() cache.Origin { return &way{app: w.app, r: w.r} }

func (w *way) Fetch(ctx context.Context, f wire.Fields, a wire.Answer) (whole bool) {
	r := w.r
	r.Fields = slices.Clone(f)
	for i := range f { // a filter may change them
		f[i] = wire.Field{Name: "X-Changed", Value: "yes"}
	}
	p := w.app
	p.mu.Lock()
	p.asked = append(p.asked, r)
	n := len(p.asked)
	p.mu.Unlock()
	return p.says(n, r).give(ctx, r, a)
}

func (s answer) give(ctx context.Context, r wire.Request, a wire.Answer) bool {
	if s.before != nil {
		s.before(ctx)
	}
	if s.panicked != nil {
		panic(s.panicked)
	}
	if s.none || ctx.Err() != nil {
		return false
	}
	status := s.status
	if status == 0 {
		status = 200
	}
	length := int64(len(s.body))
	if s.chunked || status == 304 {
		length = -1
	}
	if s.cut && !s.chunked {
		length++
	}
	lines := fields(s.lines...)
	a.WriteHead(status, lines, length)
	for i := range lines { // they are the app's again
		lines[i] = wire.Field{Name: "X-Overwritten", Value: "yes"}
	}
	if r.Method != "HEAD" && !s.write(ctx, a) {
		return false
	}
	return !s.cut
}

func (s answer) write(ctx context.Context, a wire.Answer) bool {
	pieces := max(s.pieces, 1)
	if s.between != nil {
		pieces = max(pieces, 2)
	}
	for i := range pieces {
		p := []byte(s.body[len(s.body)*i/pieces : len(s.body)*(i+1)/pieces])
		if _, err := a.Write(p); err != nil {
			return false
		}
		clear(p)
		if i == 0 && s.between != nil {
			s.between(ctx, a)
		}
	}
	return ctx.Err() == nil
}

func fields(lines ...string) wire.Fields {
	var f wire.Fields
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		f.Add(name, value)
	}
	return f
}

// got is the answer that a client has.
type got struct {
	status  int
	header  wire.Fields
	length  int64
	body    bytes.Buffer
	whole   bool
	heads   int
	flushes int
	trace   []string
	write   func(p []byte) error // before each
}

func (g *got) WriteHead(status int, f wire.Fields, length int64) {
	g.heads++
	g.status, g.header, g.length = status, slices.Clone(f), length
}

func (g *got) Write(p []byte) (int, error) {
	if g.write != nil {
		if err := g.write(p); err != nil {
			return 0, err
		}
	}
	return g.body.Write(p)
}

func (g *got) Flush() error { g.flushes++; return nil }

func (g *got) String() string {
	return fmt.Sprintf("%d %v %q (length %d, whole %v, %v)", g.status, g.header, short(g.body.String()), g.length, g.whole, g.trace)
}

func short(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

// cacheStatus returns what the cache says of itself.
func (g *got) cacheStatus() string { return g.header.Get("Cache-Status") }

var errGone = errors.New("the client has gone")

// front is a store with a policy in front of an app.
type front struct {
	t      testing.TB
	store  *cache.Store
	policy *cache.Policy
	app    *app
}

func newFront(t testing.TB, o cache.Options, says func(n int, r wire.Request) answer) *front {
	return newFrontWith(t, cache.StoreOptions{}, o, says)
}

func newFrontWith(t testing.TB, so cache.StoreOptions, o cache.Options, says func(n int, r wire.Request) answer) *front {
	t.Helper()
	f := &front{t: t, store: cache.NewStore(cache.Setup{}), policy: policy(t, o), app: &app{says: says}}
	if err := f.store.Configure(so); err != nil {
		t.Fatal(err)
	}
	return f
}

func policy(t testing.TB, o cache.Options) *cache.Policy {
	t.Helper()
	p, err := cache.NewPolicy(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// always is an app that says the same to all.
func always(a answer) func(int, wire.Request) answer {
	return func(int, wire.Request) answer { return a }
}

// says is an app that says one thing after the other, the last for ever.
func says(a ...answer) func(int, wire.Request) answer {
	return func(n int, _ wire.Request) answer { return a[min(n, len(a))-1] }
}

func request(method, url string, lines ...string) *cache.Request {
	r := &wire.Request{Method: method, Target: url, Major: 1, Minor: 1, Fields: fields(lines...)}
	path, query, _ := strings.Cut(url, "?")
	return &cache.Request{Request: r, Site: "s", Scheme: "https", Host: "example.com", Path: path, Query: query}
}

func (f *front) get(url string, lines ...string) *got { return f.do(request("GET", url, lines...)) }

func (f *front) do(r *cache.Request) *got {
	g := &got{}
	f.doTo(r, g)
	return g
}

func (f *front) doTo(r *cache.Request, g *got) {
	trace := r.Trace
	r.Trace = func(s string) {
		g.trace = append(g.trace, s)
		if trace != nil {
			trace(s)
		}
	}
	g.whole = f.store.Serve(f.policy, r, g, &way{app: f.app, r: *r.Request})
	if g.heads > 1 {
		f.t.Errorf("%s %s: %d heads", r.Method, r.Target, g.heads)
	}
	if g.whole && r.Method != "HEAD" && g.status != 304 && g.length >= 0 && g.length != int64(g.body.Len()) {
		f.t.Errorf("%s %s: %v is not as long as it says", r.Method, r.Target, g)
	}
	if len(g.trace) != 1 {
		f.t.Errorf("%s %s: traced %q, want one word", r.Method, r.Target, g.trace)
	}
}

// run starts the store, until the test ends.
func (f *front) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.store.Run(ctx); err != nil {
			f.t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	f.t.Cleanup(stop)
	return stop
}

func date(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

const kib = 1 << 10

// sleep waits for d, or the end of the fetch.
func sleep(d time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
}
