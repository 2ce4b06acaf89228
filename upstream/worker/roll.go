package worker

import (
	"context"
	"time"
)

// advanceRoll begins to replace current, if that is wished for.
func (r *runner) advanceRoll(ctx context.Context) {
	if r.next != nil || len(r.leaving) >= mostLeaving || len(r.leaving) > 0 && r.settle != nil {
		return
	}
	if equal(r.wanted, &r.current.options) {
		r.dirty = false // it was changed, and changed back
	}
	if !r.dirty && !r.todo.restart {
		return
	}
	processes := r.wanted.count()
	if o := &r.current.options; o.Max == r.wanted.Max && o.Min == r.wanted.Min && r.current.growth.can {
		processes = r.current.growth.sent
	}
	r.dirty = false
	r.rolling, r.todo = r.todo, wishes{}
	r.next = r.generation(processes)
	r.next.replaces = true
	r.begin(ctx, r.next)
}

// rollEnded takes in how the start of next has ended.
func (r *runner) rollEnded(o outcome) {
	w, g := r.rolling, r.next
	r.rolling, r.next = wishes{}, nil
	if o.err != nil {
		r.rollFailed(w, o)
		return
	}
	old := r.current
	r.current = g
	r.retry = nil
	r.drained, r.patience = nil, nil
	r.numbers.reloads++
	idle := r.becomeReady()
	old.waiting = w.callers
	r.leave(old, idle, nil)
	r.settle = time.After(settleTime)
}

// rollFailed lets the old workers go on. With Watch, when a file has changed, they
// are retired: who develops is to see what is wrong, and not what was right before.
func (r *runner) rollFailed(w wishes, o outcome) {
	t := trouble(o.err)
	r.numbers.failed = t
	o.g.place.close()
	r.tell(w, t)
	files := w.files && r.current.options.Watch
	r.log.Error("new workers did not start", "generation", o.g.number, "cause", t.Cause, "tail", t.Tail, "old", !files)
	switch {
	case files:
		old := r.current
		r.current, r.phase, r.retry = nil, phaseDown, nil
		r.drained, r.patience = nil, nil
		r.setTrouble(t)
		r.leave(old, r.say(), nil)
		r.pace()
	case r.phase == phaseWaiting: // they have ended meanwhile
		r.wait()
	}
}
