package livetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// operate runs a command of the operator and returns what it says.
func (g *gateway) operate(t *testing.T, command ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, append(append([]string{headgate}, command...), "--socket", g.admin)...)
	if code != 0 {
		t.Errorf("headgate %s: exit code %d: %s", strings.Join(command, " "), code, stderr)
	}
	return stdout
}

// wantSaid looks for words in what a command said.
func wantSaid(t *testing.T, said string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("no %q in %q", w, said)
		}
	}
}

// barrage is GET and POST, 60 a second, until end.
type barrage struct {
	stop context.CancelFunc
	done chan outcomes
	at   time.Time
}

func startBarrage(t *testing.T, g *gateway) *barrage {
	t.Helper()
	shots := poisson(5, 60, time.Minute, func(r *rand.Rand) shot {
		if r.IntN(4) == 0 {
			return shot{method: http.MethodPost, path: "/work", body: strings.Repeat("x", 20000)}
		}
		return shot{path: "/work"}
	})
	ctx, cancel := context.WithCancel(t.Context())
	b := &barrage{stop: cancel, done: make(chan outcomes, 1), at: time.Now()}
	clients := from(t, g.http, 4)
	go func() {
		defer cancel()
		b.done <- shootUntil(ctx, shots, clients)
	}()
	return b
}

// end stops it, and returns what became of those that were sent.
func (b *barrage) end() outcomes {
	b.stop()
	return <-b.done
}

func (b *barrage) now() time.Duration { return time.Since(b.at) }

// TestDrain: a drained member gets nothing, over a reload too, and no request
// fails for it.
func TestDrain(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	one, two := filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")
	a := startMember(t, one, "a", 0.02, "--processes", "2")
	startMember(t, two, "b", 0.02, "--processes", "2")
	c := poolsConf{pools: fmt.Sprintf("app: {members: [\"unix:%s\", \"unix:%s\"]}\n", one, two), routes: "{pool: app}"}
	g := startSite(t, c)
	load := startBarrage(t, g)
	<-time.After(time.Second)

	wantSaid(t, g.operate(t, "drain", "app/unix:"+one, "--wait", "10s"), "app/unix:"+one+" drained, no request in flight")
	drained := load.now()
	before := g.pool(t, "app").member("unix:" + one)
	if before.State != "drained" || before.InFlight != 0 {
		t.Errorf("the drained member is %+v", before)
	}
	a.killAll(t) // nobody notices
	startMember(t, one, "a", 0.02, "--processes", "2")
	c.pools = strings.Replace(c.pools, "]}", "], queue: {limit: 999}}", 1)
	g.write(t, c)
	g.operate(t, "reload")
	<-time.After(time.Second)
	wantSaid(t, g.operate(t, "status"), "drained")
	if now := g.pool(t, "app").member("unix:" + one); now.Requests != before.Requests || now.State != "drained" {
		t.Errorf("the drained member has got %d requests, and is %s", now.Requests-before.Requests, now.State)
	}
	back := load.now()
	wantSaid(t, g.operate(t, "undrain", "app/unix:"+one), "undrained")
	<-time.After(time.Second)

	all := load.end()
	all.wantAll(t)
	by := func(name string, from, to time.Duration) int {
		return len(all.where(func(o outcome) bool { return o.body == name && o.at >= from && o.ended < to }))
	}
	t.Logf("%d requests; a and b answered %d and %d before, %d and %d in the %.1f s while a was drained, %d and %d later; p99 %v", len(all),
		by("a", 0, drained), by("b", 0, drained), by("a", drained, back), by("b", drained, back), (back - drained).Seconds(), by("a", back, time.Minute), by("b", back, time.Minute), all.quantile(0.99))
	if by("a", drained, back) > 0 || by("b", drained, back) < 30 || by("a", back, time.Minute) < 1 { // it begins slowly
		t.Error("the drained member answered, or the other did not, or it did not come back")
	}
}

// TestPause: the requests of a paused pool wait, and are all answered when it is
// resumed or the pause is over.
func TestPause(t *testing.T) {
	t.Parallel()
	a := startMember(t, filepath.Join(shortDir(t), "a.sock"), "a", 0.01, "--processes", "2")
	g := startSite(t, poolsConf{pools: fmt.Sprintf("app: {members: [\"unix:%s\"]}\n", a.socket), routes: "{pool: app}"})
	load := startBarrage(t, g)
	<-time.After(500 * time.Millisecond)
	for _, row := range []struct {
		command []string
		resume  bool
	}{
		{[]string{"pause", "app", "--wait", "5s"}, true},
		{[]string{"pause", "app", "--for", "2s", "--wait", "2s"}, false},
	} {
		wantSaid(t, g.operate(t, row.command...), "app paused until ", "no request in flight")
		paused := load.now()
		before := g.pool(t, "app")
		<-time.After(time.Second)
		after := g.pool(t, "app")
		if got := after.Members[0].Requests - before.Members[0].Requests; got != 0 || after.Queued < 20 || after.PausedUntil == "" {
			t.Errorf("while the pool was paused its member got %d requests and %d waited; paused until %q", got, after.Queued, after.PausedUntil)
		}
		wantSaid(t, g.operate(t, "status"), "app is paused until ")
		if row.resume {
			<-time.After(time.Second)
			wantSaid(t, g.operate(t, "resume", "app"), "app resumed, ", " in its queue")
		}
		if !eventually(5*time.Second, func() bool { p := g.pool(t, "app"); return p.PausedUntil == "" && p.Queued == 0 }) {
			t.Error("the pause does not end")
		}
		t.Logf("%v: %d waited after a second; all had gone on %.1f s after its begin", row.command, after.Queued, (load.now() - paused).Seconds())
		<-time.After(300 * time.Millisecond)
	}
	all := load.end()
	all.wantAll(t)
	if longest := all.quantile(1); longest < time.Second {
		t.Errorf("no request waited longer than %v", longest)
	}
	t.Logf("%d requests, the longest took %v", len(all), all.quantile(1))
}

// TestMemberTakenOut: a member that the file names no longer keeps the requests
// that it has, slow ones too, and gets no more.
func TestMemberTakenOut(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	one, two := filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")
	startMember(t, one, "a", 0.02, "--processes", "2")
	startMember(t, two, "b", 0.02, "--processes", "2")
	conf := func(members string) poolsConf {
		return poolsConf{pools: "app: {members: [" + members + "]}\n", routes: "{pool: app}"}
	}
	g := startSite(t, conf(fmt.Sprintf("\"unix:%s\"", one)))
	slow := make(chan outcomes, 1)
	clients := from(t, g.http, 1)
	go func() { slow <- shoot(t.Context(), []shot{{method: http.MethodPost, path: "/work?s=4"}}, clients) }()
	if !eventually(3*time.Second, func() bool { return g.pool(t, "app").member("unix:"+one).InFlight == 1 }) {
		t.Fatal("the slow request has not come")
	}
	load := startBarrage(t, g)
	<-time.After(500 * time.Millisecond)
	g.write(t, conf(fmt.Sprintf("\"unix:%s\"", two)))
	g.operate(t, "reload")
	out := load.now()
	wantSaid(t, g.operate(t, "status"), "leaving")
	if s := g.pool(t, "app").member("unix:" + one); s.State != "leaving" || s.InFlight < 1 {
		t.Errorf("the member that was taken out is %+v", s)
	}
	o := <-slow
	o.wantAll(t)
	if o[0].body != "a" {
		t.Errorf("the slow request was answered by %q", o[0].body)
	}
	if !eventually(3*time.Second, func() bool { return g.pool(t, "app").member("unix:"+one).Address == "" }) {
		t.Error("the member that was taken out does not go")
	}
	all := load.end()
	all.wantAll(t)
	late := all.where(func(o outcome) bool { return o.at > out && o.body == "a" })
	t.Logf("%d requests, %d of them after the reload; the slow one took %v", len(all), len(all.where(func(o outcome) bool { return o.at > out })), o[0].took())
	if len(late) > 0 {
		t.Errorf("%d requests went to a member that was taken out", len(late))
	}
}
