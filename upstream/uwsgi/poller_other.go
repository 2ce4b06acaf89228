//go:build !linux

package uwsgi

// poller is for Linux.
type poller struct{}

type waiter struct{}

func (c *fileConn) await(*poller) bool { return false }

func (c *fileConn) giveUpLocked() {}

func (p *poller) close() {}
