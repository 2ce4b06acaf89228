package upstream

// The lanes of a queue, a priority each.
const (
	highLane = iota
	normalLane
	lowLane
	lanes
)

// patience is how often in a row a lane is passed over for higher ones until it
// has one turn.
const patience = 8

// laneOf returns the lane of a priority.
func laneOf(p Priority) int {
	switch {
	case p > PriorityNormal:
		return highLane
	case p < PriorityNormal:
		return lowLane
	}
	return normalLane
}

// lane is what is known of all waiters of one priority, whatever they are bound
// to. The zero value is empty.
type lane struct {
	n      int
	most   int  // no flow has more waiters than this; exact after a search
	passed int  // how often in a row others were taken while somebody here could have been
	fresh  bool // the last turn was that of a flow that was fresh till then
}

func (l *lane) enter() { l.n++ }

func (l *lane) leave() {
	if l.n--; l.n == 0 {
		l.most, l.passed = 0, 0
	}
}
