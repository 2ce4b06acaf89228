package uwsgi

import (
	"errors"
	"fmt"
)

// checkModifier1 returns an error if a pool may not send a modifier1. It chooses
// what uWSGI does with a packet, and much of what it can do is not to answer a
// request; so what is not known to be harmless is refused. 0 is right for nearly
// everybody: a worker with one language takes it for that one.
func checkModifier1(m int) error {
	switch m {
	case 0, // Python, or whatever the worker's only language is
		5,  // Perl
		6,  // Lua
		7,  // Ruby
		8,  // Java
		9,  // CGI
		11, // Go
		14, // PHP
		15, // Mono
		19, // server side includes
		23, // XSLT
		24, // V8
		25, // GridFS
		27, // GlusterFS
		28: // Rados
		return nil
	}
	return fmt.Errorf("%d %w", m, refusal(m))
}

// refusal says what a modifier1 would do, and what to write instead.
func refusal(m int) error {
	const instead = "; leave modifier1 out"
	switch m {
	case 10:
		return errors.New("manages the worker" + instead)
	case 17:
		return errors.New("puts the request into the spooler's queue instead of answering it" + instead)
	case 18:
		return errors.New("calls a C function of the worker" + instead)
	case 22:
		return errors.New("has the worker run the request as code" + instead)
	case 30:
		return errors.New("asks Python to take SCRIPT_NAME off PATH_INFO, which uWSGI does not do on Python 3; leave modifier1 out and write mount: on the route, which does")
	case 100:
		return errors.New("is a ping, not a request" + instead)
	case 110:
		return errors.New("raises a uWSGI signal, which runs timers and cron jobs" + instead)
	case 111:
		return errors.New("reads and writes the worker's cache" + instead)
	case 173:
		return errors.New("calls the worker's functions by RPC" + instead)
	}
	if m < 0 || m > 255 {
		return errors.New("is not a byte; write 0, or the number of the language's plugin")
	}
	return errors.New("is not the number of a plugin that answers requests; leave it out, or write one of 0 5 6 7 8 9 11 14 15 19 23 24 25 27 28")
}
