//go:build !linux

package main

import (
	"errors"
	"os"

	"headgate/gateway/accesslog"
)

// hideTyping refuses a terminal, because it would show what is typed. The error is
// errNoTerminal for everything else.
func hideTyping(f *os.File) (show func(), err error) {
	if accesslog.Terminal(f) {
		return nil, errors.New("the terminal would show the password")
	}
	return nil, errNoTerminal
}
