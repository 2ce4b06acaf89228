package worker

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"headgate/upstream/worker/process"
	"headgate/upstream/worker/python"
	"headgate/upstream/worker/watch"
)

// leader is the process that has started the others of its generation.
type leader interface {
	PID() int
	Ended() <-chan struct{}
	Done() <-chan struct{}
	Exit() process.Exit
	Signal(os.Signal) error
	Kill()
	Tail() []string
}

// world is what a Supervisor does to the machine.
type world struct {
	plan   func(ctx context.Context, r python.Request) (*python.Plan, error)
	start  func(s process.Spec) (leader, error)
	watch  func(ctx context.Context, s watch.Setup) error
	user   func(name string) (*process.User, error)
	family func(p leader) []process.Relative
	order  func(fifo, word string) error // to uWSGI's master
	signal func(pid int, sig os.Signal) error
	uid    int
}

// machine is the world that there is.
func machine(shared *Shared) world {
	return world{
		plan: python.NewPlan,
		start: func(s process.Spec) (leader, error) {
			p, err := process.Start(s)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		watch:  watch.Run,
		user:   process.LookUpUser,
		family: shared.family,
		order:  order,
		signal: func(pid int, sig os.Signal) error {
			if s, ok := sig.(syscall.Signal); ok && pid > 1 {
				return unix.Kill(pid, s)
			}
			return nil
		},
		uid: os.Geteuid(),
	}
}

// order writes a word to the FIFO of uWSGI's master. The FIFO is in a directory of
// the worker's user, who may have put something else in its place.
func order(fifo, word string) error {
	fd, err := unix.Open(fifo, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: fifo, Err: err}
	}
	defer unix.Close(fd)
	var is unix.Stat_t
	if err := unix.Fstat(fd, &is); err != nil {
		return err
	}
	if is.Mode&unix.S_IFMT != unix.S_IFIFO {
		return fmt.Errorf("%s is not a FIFO", fifo)
	}
	_, err = unix.Write(fd, []byte(word))
	return err
}
