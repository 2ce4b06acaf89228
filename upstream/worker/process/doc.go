// Package process starts processes and looks after them: their output by lines, the
// memory of all that they have started, how they ended, and that nothing of them is
// left behind. As PID 1 it also buries the orphans of others (Reap). Unix only; what
// is read from /proc and from cgroups is there on Linux only.
//
//	p, err := process.Start(process.Spec{Path: "/usr/bin/uwsgi", Args: args, FDs: []*os.File{socket}})
//	<-p.Done()
//	log.Error("workers ended", "cause", p.Exit().Cause, "tail", p.Tail())
//
// A process is the leader of a process group of its own and dies with the gateway,
// even with one that is killed: the kernel sends it SIGKILL then (PR_SET_PDEATHSIG;
// not on macOS). SIGKILL and not SIGTERM, because it is the only one that ends a
// process that hangs, and uWSGI without --die-on-term takes SIGTERM for a reload;
// the requests that it serves have lost their clients with the gateway. The workers
// of gunicorn end by themselves when their master is gone; those of uWSGI do with
// --no-orphans, and without it spin for ever, because they cannot write to their log.
package process
