package main

import (
	"runtime"
	"testing"
	"time"
)

func TestGCPercentFollowsWhatIsInUse(t *testing.T) {
	for inUse, want := range map[uint64]int{
		0:        gcLavish, // nothing has been collected yet
		6 << 20:  gcLavish,
		12 << 20: 200,
		24 << 20: 100,
		48 << 20: gcSparing,
		1 << 40:  gcSparing,
	} {
		if got := gcPercent(inUse); got != want {
			t.Errorf("gcPercent(%d MiB) = %d, want %d", inUse>>20, got, want)
		}
	}
}

// TestInUseCountsTheHeap also notices when Go renames what it is asked for.
func TestInUseCountsTheHeap(t *testing.T) {
	held := make([]byte, 64<<20)
	runtime.GC()
	if got := inUse(); got < 64<<20 || got > 512<<20 {
		t.Errorf("inUse() = %d with 64 MiB held", got)
	}
	runtime.KeepAlive(held)
}

func TestWatchCollectorTellsOfEveryCollection(t *testing.T) {
	collected := make(chan struct{}, 1)
	watchCollector(t.Context(), collected)
	for n := range 3 {
		runtime.GC()
		select {
		case <-collected:
		case <-time.After(10 * time.Second):
			t.Fatalf("collection %d was not told", n+1)
		}
	}
}
