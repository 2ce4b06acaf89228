package upstream_test

import (
	"testing"

	"headgate/upstream"
)

// TestNoSlotEndsTheAttempts: a request that went to one member in vain and then
// found no slot does not wait through the queue once more.
func TestNoSlotEndsTheAttempts(t *testing.T) {
	p := newPool(t, upstream.Options{}, "a", "b")
	var tried upstream.Tried
	l := acquire(t, p, &tried)
	l.Release()
	for _, err := range []error{upstream.ErrQueueTimeout, upstream.ErrQueueFull} {
		if _, again := p.Options().Retry.Again(&tried, err, 0, true, true); again {
			t.Errorf("Again(%v) = true", err)
		}
	}
}
