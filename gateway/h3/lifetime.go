package h3

import (
	"context"
	"sync"

	"headgate/gateway/wire"
)

// lifetime is the context of a request. It follows that of the stream only when
// somebody waits for its end.
type lifetime struct {
	*wire.Life

	mu    sync.Mutex // guards the fields below
	stop  func() bool
	ended bool
}

// newLifetime returns one that ends with the stream of ctx, which is when the
// client wants no answer any more and when the connection ends.
func newLifetime(ctx context.Context) *lifetime {
	l := new(lifetime)
	l.Life = wire.NewLife(func() { l.follow(ctx) })
	return l
}

func (l *lifetime) follow(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.stop = context.AfterFunc(ctx, l.End)
	}
}

// end ends it now, without a goroutine.
func (l *lifetime) end() {
	l.mu.Lock()
	l.ended = true
	if l.stop != nil {
		l.stop()
	}
	l.mu.Unlock()
	l.End()
}
