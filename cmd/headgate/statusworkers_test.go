package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/stats"
)

func TestWorkersInWords(t *testing.T) {
	now := time.Now()
	at := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 1, 0, time.Local)
	old := time.Date(2020, 11, 23, 10, 2, 3, 0, time.Local)
	pools := []stats.Pool{
		{Name: "api", Workers: &stats.Workers{
			State: "ready", App: "api:app", Server: "builtin", About: "Flask 2.2.2, Python 3.11.2", Processes: 4, Threads: 8, Reloads: 3, Requests: 1042, Since: old,
			List: []stats.Worker{{PID: 1, RSS: 30 << 20}, {PID: 2, RSS: 12 << 20}},
		}},
		{Name: "elsewhere"},
		{Name: "idle", Workers: &stats.Workers{State: "idle", App: ".", Server: "uwsgi", Processes: 2, Threads: 1, Since: at}},
		{Name: "new", Workers: &stats.Workers{State: "starting", App: "new:app"}},
		{Name: "rolled", Workers: &stats.Workers{
			State: "ready", App: "a", Server: "uwsgi", Processes: 1, Threads: 1, Since: at, Error: "the app cannot be imported\nTraceback:\nNameError: x", Tail: []string{"Traceback:", "NameError: x"},
		}},
		{Name: "shop", Workers: &stats.Workers{
			State: "crashed", App: "shop.wsgi", Server: "uwsgi", Processes: 2, Threads: 1, Restarts: 7, Since: at, RetryAt: at,
			Error: "exited with status 22", Tail: []string{"*** no app loaded. going in full dynamic mode ***", "unable to load app"},
		}},
	}
	var b strings.Builder
	if err := printWorkers(&b, pools); err != nil {
		t.Fatal(err)
	}
	want := `
POOL    STATE     SERVER   PROCESSES      RESTARTS  MEMORY  REQUESTS  SINCE                ABOUT
api     ready     builtin  4 x 8 threads  0         42 MiB  1042      2020-11-23 10:02:03  api:app (Flask 2.2.2, Python 3.11.2)
idle    idle      uwsgi    2              0         -       0         00:00:01             .
new     starting  -        -              0         -       0         -                    new:app
rolled  ready     uwsgi    1              0         -       0         00:00:01             a
shop    crashed   uwsgi    2              7         -       0         00:00:01             shop.wsgi

rolled: new workers did not start, the old ones go on: the app cannot be imported
  Traceback:
  NameError: x
shop is crashed since 00:00:01: exited with status 22
  *** no app loaded. going in full dynamic mode ***
  unable to load app
  tried again at 00:00:01; headgate reload --workers shop does it now
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("workers (-want +got):\n%s", d)
	}
	b.Reset()
	if err := printWorkers(&b, pools[1:2]); err != nil || b.Len() > 0 {
		t.Errorf("of a pool without workers: %v %q", err, b.String())
	}
}

func TestAppsInWords(t *testing.T) {
	at := time.Date(2020, 11, 23, 10, 2, 3, 0, time.Local)
	var b strings.Builder
	err := printApps(&b, []stats.App{
		{File: "blog.yaml", Name: "blog", Hosts: []string{"blog.example.com"}, State: "ok"},
		{File: "many.ini", Name: "many", Hosts: []string{"a", "b", "c", "d", "e"}, State: "kept", Error: "many.ini:3: unknown option", Since: at},
		{File: "shop.yaml", Name: "shop", State: "broken", Error: "shop.yaml:2: unknown key \"wrokers\"\nshop.yaml:5: no hosts", Since: at},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `
APP        STATE   HOSTS               ERROR
blog.yaml  ok      blog.example.com    -
many.ini   kept    a, b, c and 2 more  many.ini:3: unknown option
shop.yaml  broken  -                   shop.yaml:2: unknown key "wrokers"

shop.yaml is broken since 2020-11-23 10:02:03:
  shop.yaml:2: unknown key "wrokers"
  shop.yaml:5: no hosts
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("apps (-want +got):\n%s", d)
	}
}

func TestSubscriptionsInWords(t *testing.T) {
	at := time.Date(2020, 11, 23, 10, 2, 3, 0, time.Local)
	var b strings.Builder
	err := printSubscriptions(&b, stats.Subscriptions{
		Nodes: []stats.Node{
			{Key: "a.example", Address: "10.0.0.7:3031", Weight: 2, Cores: 4, Ready: true, Last: at},
			{Key: "a.example", Address: "10.0.0.8:3031", Weight: 1, Backup: true, Error: "connection\nrefused", Last: at},
		},
		Counters: map[string]uint64{"accepted": 900, "malformed": 1, "bad_signature": 3, "full": 0, "expired": 7},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `
SUBSCRIPTION  ADDRESS                 WEIGHT  CORES  READY  LAST
a.example     10.0.0.7:3031           2       4      yes    2020-11-23 10:02:03
a.example     10.0.0.8:3031 (backup)  1       0      no     2020-11-23 10:02:03

a.example at 10.0.0.8:3031 gets no requests: connection; refused
subscription packets refused: 3 bad signature, 1 malformed
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("subscriptions (-want +got):\n%s", d)
	}
	b.Reset()
	if err := printSubscriptions(&b, stats.Subscriptions{Counters: map[string]uint64{"accepted": 2}}); err != nil || b.Len() > 0 {
		t.Errorf("nothing to say: %v %q", err, b.String())
	}
}
