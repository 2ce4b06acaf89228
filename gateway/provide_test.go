package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
)

// TestProvided: what a provider says first is there when the gateway is ready, and each
// word replaces the one before.
func TestProvided(t *testing.T) {
	t.Parallel()
	a, b := page(t, "a", "a.test", "A"), page(t, "b", "b.test", "B")
	p := startProvided(t, onlyHTTP, a, b)
	if got := p.get("a.test") + p.get("b.test") + p.get("main.test"); got != "ABmain" {
		t.Errorf("when the gateway is ready the apps answer %q", got)
	}
	p.wantState("a", stats.AppOK, "")
	p.words <- []gateway.Provided{b, page(t, "c", "c.test", "C")}
	p.want(map[string]string{"c.test": "C", "a.test": "404", "b.test": "B"})
	p.words <- []gateway.Provided{page(t, "b", "b.test", "B2")}
	p.want(map[string]string{"b.test": "B2", "c.test": "404"})
	p.words <- nil
	p.want(map[string]string{"b.test": "404", "main.test": "main"})
	if n := len(p.Snapshot().Apps); n != 0 {
		t.Errorf("%d apps are left", n)
	}
}

// TestProvidedContext: an app that needs a pool of the main file is left out while there
// is none, and disturbs nobody.
func TestProvidedContext(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	with := fmt.Sprintf("pools: {shared: {members: [%q]}}\n", w.Addr()) + onlyHTTP
	user := fragment(t, "u", "hosts: [u.test]\nhttp: serve\nroutes: [{pool: shared}]\n")
	p := startProvided(t, onlyHTTP, page(t, "a", "a.test", "A"), user, page(t, "z", "z.test", "Z"))
	p.want(map[string]string{"a.test": "A", "z.test": "Z", "u.test": "404"})
	p.wantState("u", stats.AppBroken, `"shared"`)
	for range 2 {
		p.reload(with)
		p.want(map[string]string{"a.test": "A", "z.test": "Z", "u.test": "ok"})
		p.wantState("u", stats.AppOK, "")
		p.reload(onlyHTTP)
		p.want(map[string]string{"a.test": "A", "z.test": "Z", "u.test": "404"})
		p.wantState("u", stats.AppBroken, `"shared"`)
	}
	p.reload(with + "- {hosts: [z.test], http: serve, routes: [{respond: {body: main}}]}\n")
	p.want(map[string]string{"a.test": "A", "z.test": "main", "u.test": "ok"})
	p.wantState("z", stats.AppBroken, "already belongs to site 2 of headgate.yaml")
	p.reload(with)
	p.want(map[string]string{"z.test": "Z"})
	p.wantState("z", stats.AppOK, "")
}

// TestProvidedCollide: of two apps with a host the first in the order of their names has
// it, also when it comes later; who has lost serves as soon as it is free.
func TestProvidedCollide(t *testing.T) {
	t.Parallel()
	a, b, c := page(t, "a", "x.test", "A"), page(t, "b", "x.test", "B"), page(t, "c", "c.test", "C")
	p := startProvided(t, onlyHTTP, c, b)
	p.want(map[string]string{"x.test": "B", "c.test": "C"})
	p.words <- []gateway.Provided{c, b, a}
	p.want(map[string]string{"x.test": "A", "c.test": "C"})
	p.wantState("b", stats.AppBroken, "already belongs to /apps/a.yaml")
	p.words <- []gateway.Provided{c, b}
	p.want(map[string]string{"x.test": "B"})
	p.wantState("b", stats.AppOK, "")

	taken := page(t, "c", "x.test", "C2") // b has it: c goes on as it was
	p.words <- []gateway.Provided{b, taken}
	until(t, "c is kept", func() bool { return p.Snapshot().Apps[1].State == stats.AppKept })
	p.want(map[string]string{"x.test": "B", "c.test": "C"})
	p.words <- []gateway.Provided{b, taken, page(t, "d", "c.test", "D")} // which gives way to what is new
	p.want(map[string]string{"c.test": "D"})
	p.wantState("c", stats.AppBroken, "already belongs to")
	p.words <- []gateway.Provided{taken}
	p.want(map[string]string{"x.test": "C2", "c.test": "404"})
	p.wantState("c", stats.AppOK, "")
}

// TestProvidedKept: an app goes on as it was when its file is wrong now, be it in itself
// or only when it is built.
func TestProvidedKept(t *testing.T) {
	t.Parallel()
	good := page(t, "a", "a.test", "A")
	p := startProvided(t, onlyHTTP, good, page(t, "b", "b.test", "B"))
	wrong := good
	wrong.Err = errors.New("a.yaml:3:1: what is that")
	unbuilt := fragment(t, "a", "hosts: [a.test]\nhttp: serve\nroutes: [{basic_auth: /nowhere/users, respond: {body: A2}}]\n")
	for name, row := range map[string]struct {
		app  gateway.Provided
		word string
	}{"in itself": {wrong, "what is that"}, "when it is built": {unbuilt, "/nowhere/users"}} {
		p.words <- []gateway.Provided{row.app, page(t, "b", "b.test", name)}
		p.want(map[string]string{"a.test": "A", "b.test": name})
		p.wantState("a", stats.AppKept, row.word)
		p.reload(onlyHTTP)
		p.want(map[string]string{"a.test": "A", "b.test": name})
		p.wantState("a", stats.AppKept, row.word)
		p.words <- []gateway.Provided{page(t, "a", "a.test", "A"), page(t, "b", "b.test", "B")}
		p.want(map[string]string{"a.test": "A", "b.test": "B"})
		p.wantState("a", stats.AppOK, "")
	}
	p.words <- []gateway.Provided{{Name: "n", File: "/apps/n.yaml", Err: errors.New("nothing was ever right")}, page(t, "b", "b.test", "B3")}
	p.want(map[string]string{"b.test": "B3", "a.test": "404"})
	p.wantState("n", stats.AppBroken, "nothing was ever right")
}

// TestProvidedRefusedWhole: while the main file is wrong nothing changes, and afterwards
// all that was said meanwhile does.
func TestProvidedRefusedWhole(t *testing.T) {
	t.Parallel()
	p := startProvided(t, onlyHTTP, page(t, "a", "a.test", "A"))
	p.configure("pools: 7\n")
	p.words <- []gateway.Provided{page(t, "a", "a.test", "A2")}
	until(t, "a refusal", func() bool { return p.Snapshot().LastReload.Error != "" })
	p.want(map[string]string{"a.test": "A"})
	p.reload(onlyHTTP)
	p.want(map[string]string{"a.test": "A2"})
	p.wantState("a", stats.AppOK, "")
}

// TestProvidedWhileReloading: words and reloads at the same time end with the last word.
func TestProvidedWhileReloading(t *testing.T) {
	t.Parallel()
	p := startProvided(t, onlyHTTP, page(t, "a", "a.test", "0"))
	var reloads sync.WaitGroup
	for range 2 {
		reloads.Go(func() {
			for range 20 {
				if _, err := p.Reload(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 40 {
		p.words <- []gateway.Provided{page(t, "a", "a.test", fmt.Sprint(i)), page(t, "b", "b.test", "B")}
		if got := p.get("a.test"); len(got) > 2 {
			t.Errorf("an app that changes answers %s", got)
		}
	}
	reloads.Wait()
	p.want(map[string]string{"a.test": "39", "b.test": "B"})
}

// TestProvidedTouched: workers are replaced when their app was touched, and not when it
// was only said again.
func TestProvidedTouched(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	code := "import os\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [str(os.getpid()).encode()]\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	one := fragment(t, "w", fmt.Sprintf("hosts: [w.test]\nhttp: serve\nworkers: {app: app.py, chdir: %q, server: builtin, processes: 1}\n", dir))
	one.Touched = 3 // before the gateway has seen it
	p := startProvided(t, onlyHTTP, one)
	first := p.get("w.test")
	if len(first) < 1 || first == "503" {
		t.Fatalf("answer %s", first)
	}
	p.words <- []gateway.Provided{one, page(t, "b", "b.test", "B")}
	p.want(map[string]string{"b.test": "B", "w.test": first})
	p.reload(onlyHTTP)
	p.want(map[string]string{"w.test": first})
	one.Touched++
	p.words <- []gateway.Provided{one}
	until(t, "new workers", func() bool { return p.get("w.test") != first })
	if second := p.get("w.test"); len(second) > 7 || second == "503" {
		t.Errorf("answer %s", second)
	}
	p.words <- []gateway.Provided{page(t, "w", "w.test", "no workers")}
	p.want(map[string]string{"w.test": "no workers"})
	until(t, "no workers", func() bool {
		for _, pool := range p.Snapshot().Pools {
			if pool.Name == "w" {
				return false
			}
		}
		return true
	})
}

// TestProviderEnds: a provider that fails is told of, and what it has said goes on.
func TestProviderEnds(t *testing.T) {
	t.Parallel()
	p := startProvided(t, onlyHTTP, page(t, "a", "a.test", "A"))
	p.end <- errors.New("the folder is on fire")
	l := p.log.Wait(func(l gatewaytest.Line) bool { return strings.Contains(l.Text("err"), "on fire") })
	if l == nil {
		t.Error("nothing in the log")
	}
	p.reload(onlyHTTP)
	p.want(map[string]string{"a.test": "A"})
}

// TestProviderNeverSpeaks: a gateway does not wait for it for ever, and hears it later.
func TestProviderNeverSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, onlyHTTP)
		began := time.Now()
		p.run()
		select {
		case <-p.Ready():
		case <-p.done:
			t.Fatal("the gateway has ended")
		}
		if took := time.Since(began); took < 5*time.Second || took > 30*time.Second {
			t.Errorf("the gateway has waited %v", took)
		}
		p.words <- []gateway.Provided{page(t, "a", "a.test", "A")}
		for len(p.Snapshot().Apps) < 1 { // reading the network is no wait in a bubble
			runtime.Gosched()
		}
		p.wantState("a", stats.AppOK, "")
	})
}

// TestProviderSilentAtTheEnd: who stops a gateway that waits for its provider does not
// wait.
func TestProviderSilentAtTheEnd(t *testing.T) {
	t.Parallel()
	p := newProvided(t, onlyHTTP)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Gateway.Run(ctx) }()
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("Run waits for the provider")
	}
}
