//go:build !linux

package uwsgi

import "errors"

const kernelTells = false

func (c *fileConn) unread() (int, error) { return 0, errors.ErrUnsupported }

func (c *fileConn) takenNow() (done bool, err error) { return false, nil }

func (c *fileConn) awaitTaken() error { return errors.ErrUnsupported }
