package livetest_test

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReloadUnderLoad: ten reloads that change something, half by signal, and a
// stop, under clients that keep their connections and others that make new ones. No
// request that was taken fails.
func TestReloadUnderLoad(t *testing.T) {
	a := startApp(t, "--processes", "2", "--listen", "100")
	c := conf{socket: a.socket}
	g := startGateway(t, c)
	l := startLoadOf(t, g, 2, true, host, "/page", protocols)
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for i := range 10 {
		<-tick.C
		c.limits = fmt.Sprintf("idle_timeout: %ds, header_bytes: %dKiB", 60+i, 32+i) // new servers
		c.pool = fmt.Sprintf("queue: {limit: %d}\n", 500+i)                          // a new pool
		if i >= 5 {
			c.pool = "" // an old one
		}
		c.more = fmt.Sprintf("  - {hosts: [other%d.localhost], routes: [{respond: {body: hi}}]}", i) // a new site
		g.configure(t, c)
		if i%2 == 0 {
			g.signal(t, syscall.SIGHUP)
			continue
		}
		stdout, stderr, code := run(t, headgate, "reload", "-c", g.file)
		if code != 0 || !regexp.MustCompile(`^generation \d+ serves`).MatchString(stdout) {
			t.Errorf("reload %d: exit code %d: %s%s", i, code, stdout, stderr)
		}
	}
	<-tick.C
	l.leaving.Store(true)
	g.signal(t, syscall.SIGTERM)
	l.wg.Wait()
	l.check(t)
	<-g.ended
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d after a graceful stop", code)
	}
	if n := strings.Count(g.said(), "reload refused"); n > 0 {
		t.Errorf("%d reloads were refused", n)
	}
}

// tenMistakes is one mistake on each line that is marked with "# wrong".
const tenMistakes = `listen:
  http: "127.0.0.1:eighty" # wrong
  http4: true # wrong
limits:
  body: 100 parsecs # wrong
  header_timeout: soon # wrong
pools:
  app:
    members: ["unix:"] # wrong
    dialect: klingon # wrong
    vars: {UWSGI_FILE: /etc/passwd} # wrong
sites:
  - hosts: ["*.*.example"] # wrong
    routes:
      - pool: ap # wrong
      - {path: "~(", pool: app} # wrong
`

// TestBrokenReload: every mistake is told with its place, and the gateway goes
// on as it was.
func TestBrokenReload(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, conf{socket: a.socket})
	write(t, g.file, tenMistakes)
	places := map[string]bool{}
	for i, line := range strings.Split(tenMistakes, "\n") {
		if strings.Contains(line, "# wrong") {
			places[fmt.Sprint(i+1)] = true
		}
	}
	if len(places) != 10 {
		t.Fatalf("%d mistakes", len(places))
	}
	for _, command := range [][]string{
		{headgate, "reload", "--socket", g.admin},
		{headgate, "check", "-c", g.file},
	} {
		_, stderr, code := run(t, command...)
		found := map[string]bool{}
		for _, m := range regexp.MustCompile(regexp.QuoteMeta(g.file)+`:(\d+):\d+: `).FindAllStringSubmatch(stderr, -1) {
			found[m[1]] = true
		}
		for line := range places {
			if !found[line] {
				t.Errorf("headgate %s says nothing of line %s", command[1], line)
			}
		}
		if code != 1 || len(found) != 10 {
			t.Errorf("headgate %s: exit code %d, %d places:\n%s", command[1], code, len(found), stderr)
		}
	}
	for _, p := range protocols {
		resp, err := g.client(t, p).Get(p.url("/page"))
		if err != nil {
			t.Fatal(err)
		}
		if err := whole(resp); err != nil {
			t.Errorf("after the refused reload, over %s: %v", p, err)
		}
	}
}
