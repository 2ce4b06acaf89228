package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/cache"
)

func TestHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, always(answer{lines: []string{"Cache-Control: max-age=60", "Content-Type: text/plain"}, body: "hello"}))
		first := f.get("/a")
		if first.status != 200 || first.body.String() != "hello" || !first.whole || first.cacheStatus() != "Headgate; fwd=uri-miss; stored" {
			t.Fatalf("first: %v", first)
		}
		time.Sleep(5 * time.Second)
		second := f.get("/a")
		if second.status != 200 || second.body.String() != "hello" || !second.whole || second.cacheStatus() != "Headgate; hit; ttl=55" || second.header.Get("Age") != "5" {
			t.Fatalf("second: %v", second)
		}
		if f.app.count() != 1 {
			t.Errorf("asked %d times", f.app.count())
		}
		time.Sleep(55 * time.Second)
		third := f.get("/a")
		if third.cacheStatus() != "Headgate; fwd=stale; stored" || f.app.count() != 2 {
			t.Fatalf("third: %v", third)
		}
	})
}
