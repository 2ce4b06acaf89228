package upstream_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"headgate/upstream"
)

// BenchmarkQueue is one push, next and take with so many that wait already, each
// of a client of its own, or all of ten clients.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		for _, clients := range slices.Compact([]int{min(10, n), n}) {
			b.Run(fmt.Sprintf("waiting=%d/clients=%d", n, clients), func(b *testing.B) {
				benchmarkQueue(b, n, clients, nil, epoch)
			})
		}
	}
	b.Run("waiting=100/bound", func(b *testing.B) { benchmarkQueue(b, 100, 100, new(int), epoch) })
	late := epoch.Add(40 * time.Minute)
	b.Run("waiting=100/overload", func(b *testing.B) { benchmarkQueue(b, 100, 50, nil, late) })
	b.Run("waiting=100/overload/bound", func(b *testing.B) { benchmarkQueue(b, 100, 50, new(int), late) })
}

func benchmarkQueue(b *testing.B, n, clients int, m any, now time.Time) {
	var q upstream.Queue
	q.Configure(2*n, time.Hour, true)
	for i := range n {
		q.Push(upstream.NewWaiter(client(i%clients), 0, epoch, false, m, nil), epoch)
	}
	w := upstream.NewWaiter(client(n), 0, epoch, false, m, nil)
	b.ReportAllocs()
	for b.Loop() {
		q.Push(w, now)
		w = q.Next(now, m)
		q.Take(w)
	}
}

// BenchmarkQueueFull is a push into a full queue: refused without a search, or
// with the newest of the fattest client giving way.
func BenchmarkQueueFull(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprintf("refused/limit=%d", n), func(b *testing.B) {
			var q upstream.Queue
			q.Configure(n, time.Hour, true)
			for i := range n {
				q.Push(upstream.NewWaiter(client(i), 0, epoch, false, nil, nil), epoch)
			}
			w := upstream.NewWaiter(client(n), 0, epoch, false, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := q.Push(w, epoch); ok {
					b.Fatal("not refused")
				}
			}
		})
		b.Run(fmt.Sprintf("gives way/limit=%d", n), func(b *testing.B) {
			var q upstream.Queue
			q.Configure(n, time.Hour, true)
			for i := range n { // half of all are one client's
				q.Push(upstream.NewWaiter(client(max(0, i-n/2)), 0, epoch, false, nil, nil), epoch)
			}
			w := upstream.NewWaiter(client(n), 0, epoch, false, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				evicted, ok := q.Push(w, epoch)
				if !ok || evicted == nil {
					b.Fatal("nobody gave way")
				}
				q.Remove(w)
				q.Push(evicted, epoch)
			}
		})
	}
}
