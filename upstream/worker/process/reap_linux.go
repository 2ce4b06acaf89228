package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How long a zombie must have been one before Reap buries it. Those that somebody in
// this program waits for are gone long before. Leaders of Start stay zombies as long
// as their group may write, and they look like orphans of an interactive shell.
const (
	reapLook   = time.Second
	reapAfter  = 1 * reapLook
	reapLeader = 30 * reapLook
)

// Reap buries the orphans that end up with us, until ctx ends, when we are PID 1, as
// in a container, or whoever has started us has made us a subreaper. Otherwise it
// returns nil at once: orphans then go to the PID 1 that there is, which buries them,
// and nothing would be won by making us a subreaper: which process an orphan came from
// can no longer be told, so it could not be killed with the others either.
//
// Zombies that this program waits for itself (os/exec, Start) are left alone: only
// those are buried that were zombies at two looks, a second apart. It looks when a
// child has ended (SIGCHLD), and needs the /proc of its own namespace.
func Reap(ctx context.Context) error {
	if !adopts() {
		return nil
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("orphans cannot be buried: /proc is not there, or not of this PID namespace: mount it")
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	g := gravedigger{seen: make(map[stray]time.Time), session: session()}
	next := time.NewTimer(0) // some may have come before us
	defer next.Stop()
	waiting := true // for next
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			if !waiting {
				next.Reset(reapLook) // what somebody waits for is gone by then
				waiting = true
			}
		case <-next.C:
			if waiting = g.look(time.Now()); waiting {
				next.Reset(reapLook)
			}
		}
	}
}

// adopts tells whether orphans come to us.
func adopts() bool {
	if os.Getpid() == 1 {
		return true
	}
	var subreaper int
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return err == nil && subreaper != 0
}

// session returns our session.
func session() int {
	id, err := unix.Getsid(0)
	if err != nil {
		return -1
	}
	return id
}

// gravedigger remembers the zombies that it has seen.
type gravedigger struct {
	seen    map[stray]time.Time // first
	session int
}

// look buries the zombies that are old enough, and tells whether there are others.
func (g *gravedigger) look(now time.Time) bool {
	all, children := census()
	seen := make(map[stray]time.Time)
	for _, pid := range children[os.Getpid()] {
		k := all[pid]
		if !k.zombie {
			continue
		}
		z := stray{k.pid, k.started}
		first, again := g.seen[z]
		if again && now.Sub(first) >= g.patience(k) {
			g.bury(pid)
			continue
		}
		if !again {
			first = now
		}
		seen[z] = first
	}
	g.seen = seen
	return len(seen) > 0
}

// patience is how long a zombie is left alone.
func (g *gravedigger) patience(k kin) time.Duration {
	if k.group == k.pid && k.session == g.session {
		return reapLeader
	}
	return reapAfter
}

// bury waits for a zombie.
func (g *gravedigger) bury(pid int) {
	for {
		_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if err != unix.EINTR {
			return // ECHILD: somebody was faster
		}
	}
}
