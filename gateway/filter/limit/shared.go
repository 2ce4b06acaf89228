package limit

import (
	"context"
	"time"
)

// Shared is a count that several gateways share; limit/redis has one.
type Shared interface {
	// Take lets a request of key pass unless the key is farther ahead of its rate
	// than limit, and then moves it by emission. It returns how far ahead it was.
	// It returns soon, with an error if nobody has counted: then the caller counts
	// by itself.
	Take(ctx context.Context, key string, emission, limit time.Duration) (ahead time.Duration, allowed bool, err error)
}
