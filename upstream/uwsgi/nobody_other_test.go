//go:build !linux

package uwsgi_test

import "errors"

func becomeNobody() error { return errors.New("run the tests as another user than root") }
