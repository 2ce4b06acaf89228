package access

// Occupy takes every slot that a hash could be computed in, until free is called.
func (p *Passwords) Occupy() (free func()) {
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	return func() {
		for range cap(p.slots) {
			<-p.slots
		}
	}
}

// ParseUsers is what OpenPasswords does with the text of a file.
func ParseUsers(text string) (names []string, err error) {
	u, err := parseUsers(text)
	for name := range u.index {
		names = append(names, name)
	}
	return names, err
}

// VerifiedMost is how many pairs are remembered.
const VerifiedMost = verifiedMost
