package livetest_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// throng is clients that ask as fast as they get answers and note each of them.
// Every second client posts.
type throng struct {
	f     *fleet
	host  string
	stop  context.CancelFunc
	wg    sync.WaitGroup
	begin time.Time

	mu  sync.Mutex // guards the field below
	all outcomes
}

// startThrong starts n clients for each protocol. Requests take a while at the app.
func (f *fleet) startThrong(t testing.TB, host string, n int, nap float64, protocols ...protocol) *throng {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	th := &throng{f: f, host: host, stop: cancel, begin: time.Now()}
	for _, p := range protocols {
		for i := range n {
			client := f.client(t, p)
			method := http.MethodGet
			if i%2 == 1 {
				method = http.MethodPost
			}
			th.wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					th.once(client, p, method, fmt.Sprintf("/work?s=%g&id=%s-%d-%d", nap, p, i, n))
				}
			})
		}
	}
	t.Cleanup(func() {
		cancel()
		th.wg.Wait()
	})
	return th
}

// once asks once; what is under way at the end is waited for.
func (th *throng) once(client *http.Client, p protocol, method, path string) {
	o := outcome{shot: shot{at: time.Since(th.begin), method: method, path: path}}
	body := ""
	if method == http.MethodPost {
		body = strings.Repeat("x", 1000)
	}
	r, err := http.NewRequest(method, p.scheme()+"://"+th.host+path, strings.NewReader(body))
	if err == nil {
		var resp *http.Response
		if resp, err = client.Do(r); err == nil {
			var b []byte
			b, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			o.status, o.body = resp.StatusCode, string(b)
		}
	}
	o.err, o.ended = err, time.Since(th.begin)
	th.mu.Lock()
	defer th.mu.Unlock()
	th.all = append(th.all, o)
}

// now is the time of the load.
func (th *throng) now() time.Duration { return time.Since(th.begin) }

// end stops it and returns what became of all.
func (th *throng) end() outcomes {
	th.stop()
	th.wg.Wait()
	return th.all
}

// by counts the answers of each instance that were asked for from some time on.
func (o outcomes) by(from, to time.Duration) map[string]int {
	n := map[string]int{}
	for _, one := range o.answered() {
		if one.at >= from && one.ended < to {
			n[one.body]++
		}
	}
	return n
}

// ranTwice returns the ids of requests that ran more than once, of a method.
func (f *fleet) ranTwice(t testing.TB, all outcomes, method string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "runs"))
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]int{}
	for id := range strings.Lines(string(b)) {
		runs[strings.TrimSpace(id)]++
	}
	for _, o := range all {
		_, id, _ := strings.Cut(o.path, "id=")
		if cmp.Or(o.method, http.MethodGet) == method && runs[id] > 1 {
			out = append(out, id)
		}
	}
	return out
}

// lasting is how long something goes on: longer in the long version.
func lasting(short, whole time.Duration) time.Duration {
	if os.Getenv("HEADGATE_TEST_LONG") != "" {
		return whole
	}
	return short
}

// spend waits.
func spend(d time.Duration) { <-time.After(d) }
