package worker

import (
	"context"
	"os"
	"time"

	"headgate/upstream/worker/process"
	"headgate/upstream/worker/python"
	"headgate/upstream/worker/watch"
)

// Leader is a leader, for tests.
type Leader = leader

// Machine is a world, for tests.
type Machine struct {
	Plan   func(ctx context.Context, r python.Request) (*python.Plan, error)
	Start  func(s process.Spec) (Leader, error)
	Watch  func(ctx context.Context, s watch.Setup) error
	User   func(name string) (*process.User, error)
	Family func(p Leader) []process.Relative
	Order  func(fifo, word string) error
	Signal func(pid int, sig os.Signal) error
	UID    int
}

// Use puts s on another machine.
func (s *Supervisor) Use(m Machine) {
	s.world = world{m.Plan, m.Start, m.Watch, m.User, m.Family, m.Order, m.Signal, m.UID}
}

// PlanWith makes s start what plan says, on the machine that there is.
func (s *Supervisor) PlanWith(plan func(ctx context.Context, r python.Request) (*python.Plan, error)) {
	s.world.plan = plan
}

// Meter is the decision about the number of processes.
type Meter struct{ meter }

// Want is what it decides.
func (m *Meter) Want(l Load, now, threads, least, most int) int {
	return m.want(l, now, threads, least, most)
}

// Backoff is the wait before a start, without its jitter.
func Backoff(falls int) time.Duration { return backoff(falls) }

// PlaceName is the name of the files of a pool.
func PlaceName(dir, pool string) (string, error) { return placeName(dir, pool) }

// MatchFile and SkipDir are what is watched.
var (
	MatchFile = matchFile
	SkipDir   = skipDir
)

// SampleEvery is how often the load is looked at.
const SampleEvery = sampleEvery

// WriteScript makes the place of a generation, lets in change what is in its directory,
// and makes a script there.
func WriteScript(dir string, in func(place string), text []byte) (*os.File, error) {
	p, err := newPlace(dir, "shop", 1)
	if err != nil {
		return nil, err
	}
	defer p.close()
	in(p.dir)
	return p.script(text)
}
