package routing

import "regexp"

// Captures are what a regular expression captures in a path. It is a small value,
// and finds them when it is asked. The zero value has none.
type Captures struct {
	re   *regexp.Regexp // nil: none
	path string
}

// Group returns what the group with that number has captured, 0 for all that the
// regular expression matches, and whether there is such a group that took part.
func (c Captures) Group(number int) (string, bool) {
	at := c.find()
	if number < 0 || 2*number >= len(at) || at[2*number] < 0 {
		return "", false
	}
	return c.path[at[2*number]:at[2*number+1]], true
}

// Named is Group for the group of a name.
func (c Captures) Named(name string) (string, bool) {
	if c.re == nil {
		return "", false
	}
	return c.Group(c.re.SubexpIndex(name))
}

// find returns where in the path each group begins and ends.
func (c Captures) find() []int {
	if c.re == nil {
		return nil
	}
	return c.re.FindStringSubmatchIndex(c.path)
}
