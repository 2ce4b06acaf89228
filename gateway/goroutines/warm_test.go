package goroutines_test

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/goroutines"
)

type task func()

func (f task) Run() { f() }

// id tells goroutines apart: the first line of a stack has its number.
func id() string {
	b := make([]byte, 32)
	return string(b[:runtime.Stack(b, false)])
}

func TestTheSameGoroutineIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w goroutines.Warm
		defer w.Stop()
		var ids []string
		for range 3 {
			w.Do(task(func() { ids = append(ids, id()) }))
			synctest.Wait()
		}
		if ids[0] != ids[1] || ids[1] != ids[2] {
			t.Errorf("three tasks, one after the other, ran on %q", ids)
		}
	})
}

func TestTasksDoNotWaitForEachOther(t *testing.T) {
	var w goroutines.Warm
	defer w.Stop()
	var all sync.WaitGroup
	all.Add(100)
	var done sync.WaitGroup
	for range 100 {
		done.Add(1)
		w.Do(task(func() { defer done.Done(); all.Done(); all.Wait() }))
	}
	done.Wait()
}

// A bubble that ends before its goroutines is a failure.
func TestGoroutinesEnd(t *testing.T) {
	for name, end := range map[string]func(w *goroutines.Warm){
		"that are not needed": func(*goroutines.Warm) { time.Sleep(11 * time.Second) },
		"that are dismissed":  func(w *goroutines.Warm) { w.Dismiss() },
		"of what was stopped": func(w *goroutines.Warm) { w.Stop() },
		"that work at the stop": func(w *goroutines.Warm) {
			w.Do(task(func() { time.Sleep(time.Hour) }))
			w.Stop()
			time.Sleep(time.Hour + 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w goroutines.Warm
				for range 10 {
					w.Do(task(func() { time.Sleep(time.Second) }))
				}
				time.Sleep(2 * time.Second)
				end(&w)
			})
		})
	}
}
