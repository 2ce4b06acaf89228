//go:build unix && !linux

package process

// Families returns the leaders alone, each as its family: the system tells no more.
// The caller owns them.
func Families(leaders []int) map[int][]Relative {
	families := make(map[int][]Relative, len(leaders))
	for _, leader := range leaders {
		families[leader] = []Relative{{PID: leader}}
	}
	return families
}

// AddPSS does nothing: the system does not tell.
func AddPSS([]Relative) {}

// stray is a descendant that has left the group of its leader.
type stray struct{}

// strays returns nil: they are not known.
func (p *Process) strays() []stray { return nil }

// kill does nothing.
func (stray) kill() {}
