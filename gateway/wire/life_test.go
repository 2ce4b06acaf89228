package wire_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"headgate/gateway/wire"
)

func TestLifeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := wire.NewLife(nil)
		if l.Err() != nil {
			t.Fatalf("it begins with %v", l.Err())
		}
		child, cancel := context.WithCancel(l)
		defer cancel()
		called := 0
		context.AfterFunc(l, func() { called++ })
		stop := context.AfterFunc(l, func() { t.Error("called although it was stopped") })
		if !stop() || stop() {
			t.Error("stop must say true once")
		}
		l.End()
		l.End()
		<-l.Done()
		<-child.Done()
		synctest.Wait()
		if called != 1 || l.Err() != context.Canceled || child.Err() != context.Canceled {
			t.Errorf("called %d times, errors %v and %v", called, l.Err(), child.Err())
		}
		late := make(chan struct{})
		if context.AfterFunc(l, func() { close(late) })() {
			t.Error("a function was stopped that runs at once")
		}
		<-late
	})
}

// TestLifeIsWatchedOnlyWhenSomebodyWaits: to watch a client costs a system call.
func TestLifeIsWatchedOnlyWhenSomebodyWaits(t *testing.T) {
	watched := 0
	l := wire.NewLife(func() { watched++ })
	_, _ = l.Deadline()
	if l.Err() != nil || l.Value("key") != nil || watched != 0 {
		t.Fatalf("watched %d times, want not yet", watched)
	}
	l.Done()
	l.Done()
	context.AfterFunc(l, func() {})
	if watched != 1 {
		t.Errorf("watched %d times, want once", watched)
	}
	l.End()
	ended := wire.NewLife(func() { t.Error("one that has ended is watched") })
	ended.End()
	<-ended.Done()
	context.AfterFunc(ended, func() {})
}

func TestLifeFromMany(t *testing.T) {
	for range 200 {
		l := wire.NewLife(nil)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				stop := context.AfterFunc(l, func() {})
				<-l.Done()
				stop()
			})
		}
		wg.Go(l.End)
		wg.Wait()
	}
}
