package certs

import "context"

// RunPolling is Run without events of the file system, whose goroutine would
// keep the clock of a synctest bubble from moving.
func (s *Store) RunPolling(ctx context.Context) error { return s.run(ctx, false) }
