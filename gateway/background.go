package gateway

import (
	"context"
	"sync"
	"sync/atomic"
)

// background is what the gateway does aside of requests: copies for mirrors, and
// fetches for the cache. It is bounded, and ends with the gateway.
type background struct {
	life context.Context
	end  context.CancelFunc
	most int64

	running atomic.Int64
	all     sync.WaitGroup
}

// mostAside bounds the requests of the gateway's own that run at once.
const mostAside = 256

func newBackground() *background {
	b := &background{most: mostAside}
	b.life, b.end = context.WithCancel(context.Background())
	return b
}

// start runs f in a goroutine of its own, unless there are too many or the gateway
// ends.
func (b *background) start(f func(ctx context.Context)) bool {
	if b.life.Err() != nil {
		return false
	}
	if b.running.Add(1) > b.most {
		b.running.Add(-1)
		return false
	}
	b.all.Go(func() {
		defer b.running.Add(-1)
		f(b.life)
	})
	return true
}

// close ends what runs and waits for it.
func (b *background) close() {
	b.end()
	b.all.Wait()
}
