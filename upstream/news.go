package upstream

import (
	"errors"
	"time"
)

// news is a change of state, for the log.
type news struct {
	what   newsKind
	member string
	err    error
	since  time.Time // of what has ended
}

type newsKind uint8

const (
	newsAway newsKind = iota
	newsBack
	newsEjected
	newsReturned
	newsFailing
	newsPassing
	newsAllFail
	newsLeaving
	newsLeft
	newsNoStats
	newsStats
	newsResumed
)

// newsMost bounds what is kept for the log when work cannot keep up.
const newsMost = 100

func (p *Pool[T]) newsLocked(what newsKind, m *member[T], err error) {
	if len(p.news) >= newsMost {
		return
	}
	n := news{what: what, err: err}
	if m != nil {
		n.member, n.since = m.Address, m.away.since
	}
	p.news = append(p.news, n)
	p.nudge()
}

// tell writes news to the log.
func (p *Pool[T]) tell(all []news) {
	for _, n := range all {
		log := p.log
		if n.member != "" {
			log = log.With("member", n.member)
		}
		if n.err != nil {
			log = log.With("err", n.err)
		}
		if cure := cureOf(n.err); cure != "" {
			log = log.With("cure", cure)
		}
		switch n.what {
		case newsAway:
			log.Warn("member away: requests wait, or go to others")
		case newsBack:
			log.Info("member reached", "after", time.Since(n.since).Round(time.Millisecond).String())
		case newsEjected:
			log.Warn("member ejected: it answers badly")
		case newsReturned:
			log.Info("member returned: its trial went well")
		case newsFailing:
			log.Warn("member fails its check")
		case newsAllFail:
			log.Error("every member fails its check: they are used as if there were none")
		case newsPassing:
			log.Info("member passes its check")
		case newsLeaving:
			log.Info("member drains: it is not listed any more")
		case newsLeft:
			log.Info("member gone")
		case newsNoStats:
			log.Warn("statistics of the member cannot be read: what was known holds")
		case newsStats:
			log.Info("statistics of the member can be read again")
		case newsResumed:
			log.Info("pool resumed")
		}
	}
}

// cureOf returns what an error's maker says can be done about it.
func cureOf(err error) string {
	var e interface{ Remedy() string }
	if errors.As(err, &e) {
		return e.Remedy()
	}
	return ""
}
