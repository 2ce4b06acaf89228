package python

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// listenFD is the descriptor of the first socket of systemd's protocol.
const listenFD = 3

// runGunicorn makes gunicorn's command line. The comments say what was measured with
// gunicorn 26.1.
func (p *planner) runGunicorn(i *interpreter) error {
	_, callable, _ := strings.Cut(p.plan.App.Target, ":")
	if name, _, _ := strings.Cut(callable, "("); strings.Contains(name, ".") {
		return fmt.Errorf("gunicorn finds no callable with a dot in its name (%s)", callable)
	}
	args := []string{
		"-m", "gunicorn",
		"--protocol", "uwsgi",
		"--uwsgi-allow-from", "*", // nobody reaches the socket who may not
		"--no-control-socket", // it would be one for all gunicorns of a user
		"--log-level", "warning",

		// It calls listen on the socket that it is given, and would make its queue
		// shorter: 2048 by default.
		"--backlog", strconv.Itoa(backlog),
		"--workers", strconv.Itoa(p.Processes),
		// With one thread, too: the sync worker takes one request of a connection.
		"--worker-class", "gthread", "--threads", strconv.Itoa(p.Threads),
		"--timeout", "0", // a slow import is no hang, and for requests there is response_timeout
		"--graceful-timeout", strconv.Itoa(seconds(p.Stop)),
	}
	if isDir("/dev/shm") == nil {
		args = append(args, "--worker-tmp-dir", "/dev/shm")
	}
	if p.MaxRequests > 0 {
		args = append(args, "--max-requests", strconv.Itoa(p.MaxRequests), "--max-requests-jitter", strconv.Itoa(p.MaxRequests/10))
	}
	if p.plan.App.Wrap != "" {
		p.chose("gunicorn has no static files of Django while DEBUG is on: choose builtin or uwsgi as server")
	}
	p.plan.Server, p.plan.Path, p.plan.Dialect, p.plan.Scales = Gunicorn, i.path, "gunicorn", true
	path, args := p.bindGunicorn(i.path, args)
	p.plan.Path, p.plan.Args = path, append(append(args, p.Flags...), p.plan.App.Target)
	return nil
}

// bindGunicorn gives gunicorn its socket. With --bind fd://3 it removes the path when
// it ends, so that nobody can connect until its successor has started; not so with a
// socket that it has from systemd.
func (p *planner) bindGunicorn(path string, args []string) (string, []string) {
	if p.FD == listenFD {
		if with, more, ok := activated(p.env, path, args); ok {
			return with, more
		}
		delete(p.env, "LISTEN_FDS")
	}
	return path, append(args, "--bind", "fd://"+strconv.Itoa(p.FD))
}

// backlog is the queue of the sockets that we are given, if the kernel allows it.
const backlog = 4096

// seconds rounds up, to 1 at least.
func seconds(d time.Duration) int {
	return max(1, int(math.Ceil(d.Seconds())))
}
