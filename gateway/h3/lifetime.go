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
	stream context.Context

	mu    sync.Mutex // guards the fields below
	stop  func() bool
	ended bool
}

// newLifetime returns one that ends with the stream of ctx, which is when the
// client wants no answer any more and when the connection ends.
func newLifetime(ctx context.Context) *lifetime {
	l := &lifetime{stream: ctx}
	l.Life = wire.NewLife(l.follow)
	return l
}

func (l *lifetime) follow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.stop = context.AfterFunc(l.stream, l.End)
	}
}

// Err implements context.Context, also for those who do not wait.
func (l *lifetime) Err() error {
	if l.stream.Err() != nil {
		l.End()
	}
	return l.Life.Err()
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
