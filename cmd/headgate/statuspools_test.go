package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/stats"
)

func TestPoolsInWords(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 2, 3, 0, time.Local)
	var failures stats.Failures
	failures[stats.FailureTimeout], failures[stats.FailureCut] = 2, 3
	pools := []stats.Pool{
		{Name: "shop", Queued: 7, PausedUntil: at, Overloaded: true, Members: []stats.Member{
			{Address: "10.0.0.7:3031", State: stats.MemberUp, Share: 0.4, Slots: 8, Known: "stats", InFlight: 3, Requests: 1042, Failures: failures, Dialect: "uwsgi"},
			{Address: "unix:/run/shop/a.sock", State: "away", Since: at, Cause: "member unix:/run/shop/a.sock: dial: no socket\nstart it", Limit: 4, Known: "learned"},
			{Address: "unix:/run/shop/b.sock", State: "ejected", Until: at, Cause: "closed without an answer"},
			{Address: "unix:/run/shop/c.sock", State: "ejected", Until: at, Backup: true},
			{Address: "unix:/run/shop/d.sock", State: "failing", Cause: "status 500", Dialect: "gunicorn"},
			{Address: "unix:/run/shop/e.sock", State: stats.MemberDrained, Share: 1, InFlight: 2},
		}},
		{Name: "tenants", Queued: 1},
		{Name: "web", Members: []stats.Member{{Address: "app.sock", State: stats.MemberUp, Share: 1, Slots: 2, Known: "config", Dialect: "http"}}},
	}
	var b strings.Builder
	if err := printPools(&b, pools); err != nil {
		t.Fatal(err)
	}
	want := `
POOL     MEMBER                          STATE    SLOTS  IN FLIGHT  QUEUED  REQUESTS  FAILURES  DIALECT
shop     10.0.0.7:3031                   up 40%   8      3          7       1042      5         uwsgi
         unix:/run/shop/a.sock           away     ~4     0                  0         0         -
         unix:/run/shop/b.sock           ejected  -      0                  0         0         -
         unix:/run/shop/c.sock (backup)  ejected  -      0                  0         0         -
         unix:/run/shop/d.sock           failing  -      0                  0         0         gunicorn
         unix:/run/shop/e.sock           drained  -      2                  0         0         -
tenants  -                               -        -      -          1       -         -         -
web      app.sock                        up       2      0          0       0         0         http

shop is paused until 10:02:03: its requests wait
shop is overloaded: the newest requests go first
shop/unix:/run/shop/a.sock is away since 10:02:03: dial: no socket; start it
shop/unix:/run/shop/b.sock is ejected until 10:02:03: closed without an answer
shop/unix:/run/shop/c.sock is ejected until 10:02:03
shop/unix:/run/shop/d.sock is failing: status 500
tenants has no members: its requests wait
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
}
