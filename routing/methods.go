package routing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// methodNames are the methods that have a bit in a methodSet.
var methodNames = [...]string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

const (
	bitGET  = 1 << 2
	bitHEAD = 1 << 3
)

// maxMethod bounds the name of a method, maxMethods those of one route.
const (
	maxMethod  = 64
	maxMethods = 64
)

// methodBit is the bit of a method, 0 for one that has none.
func methodBit(name string) uint16 {
	for i := range methodNames {
		if methodNames[i] == name {
			return 1 << i
		}
	}
	return 0
}

// methodSet is what a route asks of the method. The zero value takes every one.
type methodSet struct {
	some   bool // false: every method
	bits   uint16
	others []string
}

// CheckMethod reports what is wrong with a method of a route: it is a token (RFC
// 9110, 5.6.2), as requests write it, for its letters have a case. The error says
// what is wrong and, after a colon, the cure.
func CheckMethod(method string) error {
	switch upper := strings.ToUpper(method); {
	case method == "":
		return errors.New("a method is empty: write one such as GET")
	case len(method) > maxMethod:
		return fmt.Errorf("the method %.20q... is longer than %d bytes: write a shorter one", method, maxMethod)
	case strings.ContainsFunc(method, func(r rune) bool { return !isToken(r) }):
		return fmt.Errorf("the method %q has a byte that no method has: write one such as GET", method)
	case method != upper && methodBit(upper) != 0:
		return fmt.Errorf("the method %q never comes, for its letters have a case: write %s", method, upper)
	}
	return nil
}

func isToken(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func newMethodSet(names []string) (m methodSet, err error) {
	if len(names) > maxMethods {
		return m, fmt.Errorf("there are more than %d methods: leave them out for every method", maxMethods)
	}
	var errs []error
	m.some = len(names) > 0
	for _, name := range names {
		if err := CheckMethod(name); err != nil {
			errs = append(errs, err)
		}
		switch bit := methodBit(name); {
		case bit == bitGET:
			m.bits |= bitGET | bitHEAD
		case bit != 0:
			m.bits |= bit
		case !slices.Contains(m.others, name):
			m.others = append(m.others, name)
		}
	}
	return m, errors.Join(errs...)
}

// has reports whether m takes the method of that bit, or of that name if it has
// none.
func (m *methodSet) has(bit uint16, name string) bool {
	return !m.some || m.bits&bit != 0 || bit == 0 && slices.Contains(m.others, name)
}

// and is what both take.
func (m *methodSet) and(with *methodSet) methodSet {
	switch {
	case !m.some:
		return *with
	case !with.some:
		return *m
	}
	both := methodSet{some: true, bits: m.bits & with.bits}
	for _, name := range m.others {
		if slices.Contains(with.others, name) {
			both.others = append(both.others, name)
		}
	}
	return both
}

// none reports whether there is no method that m takes.
func (m *methodSet) none() bool { return m.some && m.bits == 0 && len(m.others) == 0 }

// names returns the methods of m, sorted; it is not asked of one that takes all.
func (m *methodSet) names() []string {
	names := slices.Clone(m.others)
	for i, name := range methodNames {
		if m.bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// add puts the methods of more into m.
func (m *methodSet) add(more *methodSet) {
	m.bits |= more.bits
	for _, name := range more.others {
		if !slices.Contains(m.others, name) {
			m.others = append(m.others, name)
		}
	}
}
