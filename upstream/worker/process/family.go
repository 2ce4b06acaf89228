package process

import "time"

// Relative is a process of a family.
type Relative struct {
	PID, Parent int
	RSS         int64 // bytes of memory in use, shared ones included
	PSS         int64 // bytes, shared ones divided by who shares them; 0 until AddPSS, and where the kernel does not tell
	Started     time.Time
}

// Family returns the process and its descendants, with the memory of each, the
// process first; nil when it has ended. The caller owns it. All of /proc is read: see
// Families for many at once. Where there is no /proc, only the process itself is
// known, and only its number.
func (p *Process) Family() []Relative {
	select {
	case <-p.ended:
		return nil
	default:
	}
	return Families([]int{p.PID()})[p.PID()]
}
