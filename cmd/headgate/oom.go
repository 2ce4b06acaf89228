package main

import (
	"context"
	"log/slog"
	"time"

	"headgate/upstream/worker/process"
)

// killsEvery is how often it is looked whether the kernel has killed a process.
const killsEvery = 2 * time.Second

// killer is what is known of the memory that a process and those that it has started
// may use.
type killer interface {
	Kills() uint64
	Limit() int64
}

// watchMemory logs when the kernel kills a process of ours, or of the container that we
// are in, for want of memory: servers of apps start another in its place and cannot know
// why it is gone. It returns with ctx.
func watchMemory(ctx context.Context, log *slog.Logger) {
	m, err := process.OpenMemory(0)
	if err != nil {
		log.Debug("the kernel does not tell of processes that it kills for want of memory", "err", err)
		return
	}
	tellKills(ctx, m, log)
}

func tellKills(ctx context.Context, m killer, log *slog.Logger) {
	tick := time.NewTicker(killsEvery)
	defer tick.Stop()
	for before := m.Kills(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := m.Kills(); now > before {
			log.Error("killed by the kernel for want of memory: start fewer workers, give them max_rss, or allow more memory",
				"processes", now-before, "limit_bytes", m.Limit())
			before = now
		}
	}
}
