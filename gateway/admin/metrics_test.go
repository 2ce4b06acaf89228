package admin_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

var update = flag.Bool("update", false, "rewrite testdata")

// snapshot returns one that has all there is, made by the counters.
func snapshot() stats.Snapshot {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	c := stats.NewCounters()
	shop := c.Site("shop")
	for _, status := range []int{200, 200, 404, 0} {
		shop.Begin()
		shop.End(status, 10, 1000, 20*time.Millisecond)
	}
	shop.Begin()
	c.Site("quiet")
	web := c.Pool("web")
	web.Enqueue()
	web.Dequeue(3 * time.Millisecond)
	web.Enqueue()
	web.Retry()
	web.Fail(stats.FailureQueueFull)
	m := web.Member("unix:/run/a.sock")
	m.Begin()
	m.Fail(stats.FailureNoAnswer)
	web.Member("10.0.0.7:3031").Begin()
	pools := c.Pools()
	pools[0].PausedUntil, pools[0].Overloaded = at.Add(3*time.Hour), true
	up, away := &pools[0].Members[0], &pools[0].Members[1]
	up.State, up.Slots, up.Load = stats.MemberUp, 4, &stats.Load{Slots: 4, Accepting: 3, Busy: 2, Queued: 7}
	away.State, away.Cause, away.Since = "away", "no socket", at
	pools[0].Workers = &stats.Workers{
		State: "reloading", App: "shop.wsgi:application", Server: "uwsgi", About: "Django 3.2.19, Python 3.11.2", Processes: 2, Threads: 1,
		Generation: 3, Restarts: 4, Reloads: 2, Requests: 9, Since: at, RetryAt: at.Add(time.Minute), Error: "exited with status 1", Tail: []string{"ImportError: no shop"},
		List: []stats.Worker{{PID: 11, Leader: true, Generation: 2, RSS: 1000, Since: at, Leaving: true}, {PID: 12, Generation: 3, RSS: 2000, Since: at}},
	}
	return stats.Snapshot{
		Apps: []stats.App{{File: "a.yaml", Name: "a", Hosts: []string{"a.example"}, State: "ok", Since: at}, {File: "b.ini", Name: "b", State: "broken", Error: "line 1\nline 2", Since: at}},
		Subscribed: stats.Subscriptions{
			Nodes:    []stats.Node{{Key: "a.example", Address: "10.0.0.7:3031", From: "10.0.0.7", Weight: 1, Cores: 4, Ready: true, Since: at, Last: at}, {Key: "a.example", Address: "10.0.0.8:3031", Error: "refused"}},
			Counters: map[string]uint64{"accepted": 12, "malformed": 1},
		},
		Version: "v1.2.3", State: stats.StateReady, StartedAt: at, Config: "/etc/headgate/headgate.yaml",
		Generation: stats.Generation{Number: 3, Hash: "abc", At: at.Add(time.Hour)},
		LastReload: stats.Reload{At: at.Add(2 * time.Hour), Error: "headgate.yaml:1: unknown key"},
		Listeners:  []stats.Listener{{Address: "[::]:443", Protocol: "https", Connections: 2, Accepted: 9}, {Address: "[::]:443", Protocol: "http3"}},
		Sites:      c.Sites(),
		Pools:      pools,
		Certificates: []stats.Certificate{
			{Names: []string{"a.example"}, NotAfter: at.Add(48 * time.Hour)},
			{Names: []string{"b.example"}, NotAfter: at.Add(24 * time.Hour), Error: "no answer"},
		},
		LogDropped: 5, SpanDropped: 6,
	}
}

// scrape returns what Prometheus would get over TCP.
func scrape(t *testing.T, snapshot func() stats.Snapshot) []byte {
	t.Helper()
	ln, err := admin.ListenMetrics("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- admin.NewMetrics(snapshot, nil, nil).Serve(ctx, ln) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + ln.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("/metrics = %d %s, %v", resp.StatusCode, body, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return body
}

func TestMetrics(t *testing.T) {
	body := scrape(t, snapshot)
	problems, err := promlint.New(bytes.NewReader(body)).Lint() // parses it, too
	if err != nil {
		t.Fatal(err)
	}
	var ours strings.Builder
	for line := range strings.Lines(string(body)) {
		if strings.Contains(line, "headgate_") && !strings.HasPrefix(line, "headgate_build_info{") {
			ours.WriteString(line)
		}
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "headgate_") {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
	golden := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(ours.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), ours.String()); d != "" {
		t.Errorf("metrics (-want +got; -update rewrites):\n%s", d)
	}
	for _, more := range []string{`headgate_build_info{goversion="go`, `version="v1.2.3"} 1`, "\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if !bytes.Contains(body, []byte(more)) {
			t.Errorf("the scrape has no %q", more)
		}
	}
}

func TestMetricsOfAnEmptySnapshot(t *testing.T) {
	body := scrape(t, func() stats.Snapshot { return stats.Snapshot{} })
	for _, want := range []string{"\nheadgate_ready 0\n", "\nheadgate_config_last_reload_timestamp_seconds 0\n"} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("the scrape has no %q", want)
		}
	}
	if bytes.Contains(body, []byte("first_expiry")) {
		t.Error("an expiry without a certificate")
	}
}

func TestOddNamesDoNotSpoilTheScrape(t *testing.T) {
	body := scrape(t, func() stats.Snapshot {
		return stats.Snapshot{Sites: []stats.Site{{Name: "a\xff\"\n\\b"}}, Pools: []stats.Pool{{Name: "\xff", Members: []stats.Member{{Address: "\x00\xfe"}}}}}
	})
	if _, err := promlint.New(bytes.NewReader(body)).Lint(); err != nil {
		t.Errorf("not parsed: %v", err)
	}
	if !bytes.Contains(body, []byte(`site="a`+"\uFFFD"+`\"\n\\b"`)) {
		t.Error("the site is missing")
	}
}

func TestListenMetricsSaysWhere(t *testing.T) {
	ln, err := admin.ListenMetrics("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := admin.ListenMetrics(ln.Addr().String()); err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("ListenMetrics at a port that is taken = %v", err)
	}
}

func BenchmarkScrape(b *testing.B) {
	s := snapshot()
	m := admin.NewMetrics(func() stats.Snapshot { return s }, nil, nil)
	r, err := http.NewRequest("GET", "/metrics", nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.ServeHTTP(nowhere{http.Header{}}, r)
	}
}

type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}
