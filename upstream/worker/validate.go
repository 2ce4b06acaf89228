package worker

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"headgate/gateway/notation"
	"headgate/upstream/worker/python"
)

// Defaults of the options.
const (
	DefaultThreads = 1
	DefaultStart   = 60 * time.Second
	DefaultStop    = 30 * time.Second
)

// Bounds of the options.
const (
	shortestTime = 100 * time.Millisecond
	longestTime  = 24 * time.Hour
	leastRSS     = 16 * notation.MiB
	mostWords    = 1000
)

// faults are the mistakes that were found.
type faults []error

func (f *faults) found(wrong bool, format string, args ...any) {
	if wrong {
		*f = append(*f, fmt.Errorf(format, args...))
	}
}

// Validate reports every mistake; each message begins with its key. It looks at
// nothing but the options: whether the app is there, the start of the workers tells.
func (o Options) Validate() error {
	var f faults
	o.validateWhat(&f)
	o.validateNumbers(&f)
	o.validateTimes(&f)
	o.validateTexts(&f)
	return errors.Join(f...)
}

func (o *Options) validateWhat(f *faults) {
	said := 0
	for _, is := range []bool{o.App != "", len(o.Command) > 0, o.Ini != ""} {
		if is {
			said++
		}
	}
	f.found(said == 0, `app: nothing says what is to run: write app: shop.wsgi:application, app: "." for what is found in chdir, or a command`)
	f.found(said > 1, "app: app, command and ini are said together: keep one of them")
	f.found(len(o.Command) > 0 && o.Command[0] == "", "command: the program has no name: write it as the first of the list")
	kind := "a command"
	if o.Ini != "" {
		kind = "an ini file"
	}
	if o.App != "" || said != 1 {
		return
	}
	for _, key := range []struct {
		name string
		said bool
	}{
		{"server", o.Server != python.Auto},
		{"max_requests", o.MaxRequests != 0},
		{"max_rss", o.MaxRSS > 0},
		{"min", o.Min != 0},
		{"max", o.Max != 0},
		{"flags", len(o.Flags) > 0},
	} {
		f.found(key.said, "%s: it is for an app, and %s says itself what runs: remove it, and say it there", key.name, kind)
	}
}

func (o *Options) validateNumbers(f *faults) {
	f.found(o.Processes < 0 || o.Processes > MostProcesses, "processes: %d is out of range: write auto, or a number from 1 to %d", o.Processes, MostProcesses)
	f.found(o.Threads < 0 || o.Threads > MostThreads, "threads: %d is out of range: write a number from 1 to %d", o.Threads, MostThreads)
	f.found(o.Min < 0 || o.Min > MostProcesses, "min: %d is out of range: write a number from 1 to %d", o.Min, MostProcesses)
	f.found(o.Max < 0 || o.Max > MostProcesses, "max: %d is out of range: write a number from 1 to %d", o.Max, MostProcesses)
	f.found(o.Min > 0 && o.Max == 0, "min: it is said without max: write for example max: %d, or set processes alone", 4*max(o.Min, 1))
	f.found(o.Max > 0 && o.Min > o.Max, "min: %d is more than max, which is %d: write a smaller number", o.Min, o.Max)
	n := int(o.Processes)
	f.found(n > 0 && o.Max > 0 && (n > o.Max || n < o.Min), "processes: %d is not from min to max, where the workers begin: write a number from %d to %d", n, max(o.Min, 1), o.Max)
	f.found(o.MaxRequests < 0 || o.MaxRequests > 1<<30, "max_requests: %d is out of range: write a number from 1 to %d, or leave it out", o.MaxRequests, 1<<30)
	f.found(o.MaxRSS > 0 && o.MaxRSS < leastRSS, "max_rss: %s is less than any Python needs: write a size from %s, such as 512MiB", o.MaxRSS, leastRSS)
}

func (o *Options) validateTimes(f *faults) {
	for _, t := range []struct {
		key  string
		d    time.Duration
		such string
	}{{"idle", o.Idle, "10m"}, {"start_timeout", o.Start, "60s"}, {"stop_timeout", o.Stop, "30s"}} {
		wrong := t.d < 0 && t.key != "idle" || t.d > 0 && t.d < shortestTime || t.d > longestTime
		f.found(wrong, "%s: %s is out of range: write a duration from %s to %s, such as %s", t.key, t.d, shortestTime, longestTime, t.such)
	}
}

func (o *Options) validateTexts(f *faults) {
	broken := func(s string) bool { return strings.ContainsAny(s, "\x00\r\n") }
	for _, t := range []struct{ key, text string }{{"app", o.App}, {"ini", o.Ini}, {"chdir", o.Chdir}, {"venv", o.Venv}, {"user", o.User}} {
		f.found(broken(t.text), "%s: it has a line break or a NUL in it: take it out", t.key)
	}
	for _, list := range []struct {
		key   string
		words []string
	}{{"command", o.Command}, {"flags", o.Flags}} {
		f.found(len(list.words) > mostWords, "%s: it has %d words: list at most %d", list.key, len(list.words), mostWords)
		f.found(slices.ContainsFunc(list.words, func(s string) bool { return strings.ContainsRune(s, 0) }), "%s: a word has a NUL in it: take it out", list.key)
	}
	f.found(len(o.Env) > mostWords, "env: it has %d variables: list at most %d", len(o.Env), mostWords)
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		f.found(name == "" || strings.ContainsAny(name, "=\x00"), "env: %q is no name of a variable: write letters, digits and _", name)
		f.found(strings.ContainsRune(o.Env[name], 0), "env: the value of %s has a NUL in it: take it out", name)
	}
	user, group, found := strings.Cut(o.User, ":")
	f.found(o.User != "" && (user == "" || found && group == "" || strings.Contains(group, ":")), "user: %q is no user: write user, or user:group", o.User)
}

// WithDefaults returns o with everything filled in that is not said. Options that
// mean the same are equal after it.
func (o Options) WithDefaults() Options {
	setDefault(&o.Threads, DefaultThreads)
	setDefault(&o.Start, DefaultStart)
	setDefault(&o.Stop, DefaultStop)
	if o.Max > 0 {
		setDefault(&o.Min, 1)
	}
	if o.MaxRSS < 0 {
		o.MaxRSS = 0
	}
	if o.Idle < 0 {
		o.Idle = 0
	}
	if o.Chdir != "" {
		o.Chdir = filepath.Clean(o.Chdir)
	}
	o.Command, o.Flags, o.Env = slices.Clone(o.Command), slices.Clone(o.Flags), maps.Clone(o.Env)
	if len(o.Command) == 0 {
		o.Command = nil
	}
	if len(o.Flags) == 0 {
		o.Flags = nil
	}
	if len(o.Env) == 0 {
		o.Env = nil
	}
	return o
}

func setDefault[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// count is how many processes there are to begin with.
func (o *Options) count() int {
	n := int(o.Processes)
	if n == 0 {
		n = min(2*runtime.GOMAXPROCS(0), MostProcesses)
	}
	if o.Max > 0 {
		n = min(max(n, o.Min), o.Max)
	}
	return n
}

// onDemand reports whether the first start waits for a request. With Watch it does
// not: who develops wants to see at once what is wrong.
func (o *Options) onDemand() bool { return o.Idle > 0 && !o.Watch }

// target is what runs, for people.
func (o *Options) target() string {
	switch {
	case len(o.Command) > 0:
		return strings.Join(o.Command, " ")
	case o.Ini != "":
		return o.Ini
	}
	return o.App
}
