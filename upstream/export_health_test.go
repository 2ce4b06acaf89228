package upstream

import "time"

// Health is health.
type Health struct{ h health }

// What Health.State returns, and Health.Failed takes.
const (
	HealthFit     = healthFit
	HealthEjected = healthEjected
	HealthTrial   = healthTrial

	FaultHard   = faultHard
	FaultAnswer = faultAnswer
)

// The methods of health.

func (x *Health) Begin(now time.Time)                    { x.h.begin(now) }
func (x *Health) Succeeded(now time.Time)                { x.h.succeeded(now) }
func (x *Health) Failed(now time.Time, f fault)          { x.h.failed(now, f) }
func (x *Health) Abandoned()                             { x.h.abandoned() }
func (x *Health) Stale(begun time.Time) bool             { return x.h.stale(begun) }
func (x *Health) State(now time.Time) healthState        { return x.h.state(now) }
func (x *Health) Until() time.Time                       { return x.h.until() }
func (x *Health) MayTry(now time.Time) bool              { return x.h.mayTry(now) }
func (x *Health) Eject(now time.Time, o EjectOptions)    { x.h.eject(now, o) }
func (x *Health) Back(now time.Time, slow time.Duration) { x.h.back(now, slow) }
func (x *Health) Share(now time.Time) float64            { return x.h.share(now) }
func (x *Health) Ramping(now time.Time) bool             { return x.h.ramping(now) }
func (x *Health) ErrorRate(now time.Time) float64        { return x.h.errorRate(now) }
func (x *Health) Counts() (row, ejections int)           { return x.h.row, x.h.ejections }

// Judge is judge.
func Judge(now time.Time, o EjectOptions, all []*Health, x *Health) bool {
	members := make([]*health, len(all))
	for i, m := range all {
		members[i] = &m.h
	}
	return judge(now, o, members, &x.h)
}
