package files

import (
	"strconv"
	"strings"
)

// try is Options.Try, ready to be used.
type try struct {
	names []string
	code  int // the answer when there is none of names; 0: not said
}

func newTry(names []string) try {
	var t try
	for _, name := range names {
		if code, ok := strings.CutPrefix(name, "="); ok {
			t.code, _ = strconv.Atoi(code) // Validate has seen it
			continue
		}
		if name != variable {
			name = tidy(name)
		}
		t.names = append(t.names, name)
	}
	return t
}

// expand returns what name of t stands for when path is asked for.
func (t *try) expand(i int, path string) string {
	name := t.names[i]
	switch {
	case name == variable:
		return path
	case !strings.Contains(name, variable):
		return name
	}
	return tidy(strings.ReplaceAll(name, variable, path))
}

// tidy takes out the slashes of a name that are not between two segments, but for one
// at its end.
func tidy(name string) string {
	for strings.Contains(name, "//") {
		name = strings.ReplaceAll(name, "//", "/")
	}
	return strings.TrimPrefix(name, "/")
}
