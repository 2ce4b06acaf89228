package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// cgroup counts as that of a container does.
type cgroup struct{ kills atomic.Uint64 }

func (c *cgroup) Kills() uint64 { return c.kills.Load() }

func (c *cgroup) Limit() int64 { return 512 << 20 }

func TestKillsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := new(cgroup)
		m.kills.Store(7) // before we came
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			tellKills(ctx, m, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		time.Sleep(time.Minute)
		m.kills.Add(2)
		time.Sleep(time.Minute)
		cancel()
		<-done
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "processes=2 limit_bytes=536870912") {
			t.Errorf("the log has %q, want one line with 2 processes and the limit", got)
		}
	})
}
