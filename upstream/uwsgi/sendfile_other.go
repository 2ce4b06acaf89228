//go:build !linux

package uwsgi

import "errors"

func (c *fileConn) sendFile(*Spool, int64, int64) (int, error) { return 0, errors.ErrUnsupported }
