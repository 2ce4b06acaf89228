package process

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec is a process to start.
type Spec struct {
	Path string     // a name without a slash is looked for in the PATH of Env
	Args []string   // without the name of the program
	Dir  string     // "": ours
	Env  []string   // all of it; of a name that is there twice the last counts
	User *User      // nil: as we are; HOME, USER and LOGNAME are set in Env
	FDs  []*os.File // descriptors 3, 4, ...; the caller closes its own

	// Line is called for each line that the process or its children write to stdout
	// or stderr, without its end, cut at 8 KiB. It owns line until it returns. It must
	// not block for long, for so long they block when they write, and Done stays open;
	// and it is not called twice at once. nil: nobody listens, but for Tail.
	Line func(stderr bool, line []byte)
}

// User is who a process runs as.
type User struct {
	Name   string
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary ones
	Home   string
}

// Exit is how a process has ended.
type Exit struct {
	Code   int       // of exit, -1 after a signal
	Signal os.Signal // nil: none
	OOM    bool      // the kernel killed it, or one of its group, for want of memory
	At     time.Time
	Cause  string // for people: "exited with status 3", "was killed by SIGKILL: out of memory (limit 512 MiB)"
}

// grace is how long what is left of a group may write after its leader has ended.
const grace = 2 * time.Second

// Process is a process that was started, the leader of a process group of its own.
// Its methods are safe for concurrent use.
type Process struct {
	path   string
	proc   *os.Process
	memory *Memory // of the cgroup that it was born in; nil: not known
	out    *output
	ended  chan struct{}
	done   chan struct{}

	mu     sync.Mutex // guards the fields below
	sent   os.Signal  // the last that we have sent; nil: none
	over   bool       // it has ended
	reaped bool       // its number may be another's
	kills  uint64     // of memory, when it was last looked at
	exit   Exit
}

// PID returns its number, which is that of its group as well.
func (p *Process) PID() int { return p.proc.Pid }

// Ended is closed as soon as the process has ended. What is left of its group may
// still write for two seconds, and is then killed; Done is closed after that.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Done is closed when the process has ended, what it wrote has been read, and what was
// left of its group has been killed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit returns how it has ended, once Done is closed.
func (p *Process) Exit() Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// Signal sends a signal to the process alone. One that has ended is no error.
func (p *Process) Signal(s os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	if err := p.proc.Signal(s); errors.Is(err, os.ErrProcessDone) {
		return nil
	} else if err != nil {
		return err
	}
	p.sent = s
	return nil
}

// Kill ends the process and all of its group at once, and those of its descendants
// that have left the group (Family). It does not wait for them: see Done.
func (p *Process) Kill() {
	strays := p.strays()
	p.killGroup()
	for _, s := range strays {
		s.kill()
	}
}

// killGroup kills the group. As long as the leader is not reaped, which it is last of
// all, no other group can have its number; afterwards there is nothing left to kill.
func (p *Process) killGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	if !p.over {
		p.sent = syscall.SIGKILL
	}
	_ = unix.Kill(-p.PID(), unix.SIGKILL) // there is none left: just as well
}

// Tail returns the last lines that were written to stderr (or, if there are none,
// to stdout), at most 40 and 8 KiB. The caller owns it.
func (p *Process) Tail() []string { return p.out.tail() }

// OOMKills returns how many processes the kernel has killed for want of memory in
// the cgroup of the process since it was started: one of its own, or of others that
// share the cgroup. What it has returned once is not held against the process when
// that ends later (Exit.OOM). 0 where the kernel does not tell.
func (p *Process) OOMKills() uint64 {
	if p.memory == nil {
		return 0
	}
	now := p.memory.Kills()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kills = max(p.kills, now)
	return p.kills - p.memory.first
}

// live waits for the process and buries it. It runs on the thread that has started
// it, which must not end before the process: see launch.
func (p *Process) live() {
	defer close(p.done)
	waitEnd(p.proc.Pid)
	at := time.Now()
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	close(p.ended)
	p.out.finish(grace)
	p.killGroup()

	p.mu.Lock() // against Kill: the number is free while we bury
	defer p.mu.Unlock()
	state, err := p.proc.Wait()
	p.reaped = true
	p.exit = p.judgeLocked(state, err)
	p.exit.At = at
}
