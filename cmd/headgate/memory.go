package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Bounds of how much may be allocated between two collections, in percent of what
// is in use. Go's own pace would collect the few MiB of a gateway dozens of times a
// second under load, and a pace for them would hold a multiple of the memory of
// thousands of connections.
const (
	gcRoom    = 24 << 20 // bytes that may come between two collections, within the percents
	gcSparing = 50
	gcLavish  = 400
)

// tune fits the runtime to a server: a container's limit is kept, and the
// collector's pace follows what is in use, unless GOGC sets it. It returns with ctx.
func tune(ctx context.Context, log *slog.Logger) {
	if _, err := memlimit.Set(); err != nil {
		log.Debug("no memory limit from the container", "err", err)
	}
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	debug.SetGCPercent(gcLavish)
	collected := make(chan struct{}, 1)
	watchCollector(ctx, collected)
	pace(ctx, collected)
}

// pace sets the collector's pace anew after each collection, and returns with ctx.
func pace(ctx context.Context, collected <-chan struct{}) {
	for percent := gcLavish; ; {
		select {
		case <-ctx.Done():
			return
		case <-collected:
		}
		want := gcPercent(inUse())
		if want*10 < percent*9 || want*10 > percent*11 { // to set it stops the world
			percent = want
			debug.SetGCPercent(percent)
		}
	}
}

// gcPercent is the pace for so many bytes in use.
func gcPercent(inUse uint64) int {
	return int(min(max(gcRoom*100/max(inUse, 1), gcSparing), gcLavish))
}

// inUse returns the bytes that GOGC is a percentage of: what the last collection
// has found alive, stacks and package variables.
func inUse() (sum uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 { // else a Go that does not tell
			sum += s.Value.Uint64()
		}
	}
	return sum
}

// watchCollector tells of each collection, until ctx ends: what nobody refers to is
// finalized after it. It does not wait for who listens.
func watchCollector(ctx context.Context, collected chan<- struct{}) {
	runtime.SetFinalizer(&garbage{}, func(*garbage) {
		if ctx.Err() != nil {
			return
		}
		watchCollector(ctx, collected)
		select {
		case collected <- struct{}{}:
		default:
		}
	})
}

// garbage is not one of the tiny objects that share a block, and so their end.
type garbage struct{ _ [32]byte }
