package apps

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"headgate/gateway/config"
)

// How a folder is watched: by looking at it, because neither links to files elsewhere
// nor network file systems nor directories to come tell of themselves.
const (
	often    = 200 * time.Millisecond // between two looks; what two find equal is settled
	patience = 2 * often              // of news, for files that are not settled
	share    = 10                     // of the time that looking may take: one part in so many
)

// Folder is a directory, or a pattern, of files with an app each. Make it with Open.
type Folder struct {
	pattern pattern
	reader  reader
	log     *slog.Logger

	files   map[string]*file  // by their path
	holders map[string]string // the file that has a name
	order   uint64
	trouble string // what was last said of the folder
}

// Open returns the Folder of a directory or of a pattern such as
// /etc/headgate/apps/*.{yaml,ini}, which need not be there yet. env is for YAML files,
// as in config.Parse. The error, of a pattern that is none, begins with the key apps.
func Open(pattern string, env func(string) (string, bool), log *slog.Logger) (*Folder, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Folder{
		pattern: p, reader: reader{env: env, tyrant: os.Geteuid() == 0}, log: log,
		files: map[string]*file{}, holders: map[string]string{},
	}, nil
}

// Read returns the states of all files that there are now, for headgate check.
func Read(pattern string, env func(string) (string, bool)) ([]State, error) {
	f, err := Open(pattern, env, nil)
	if err != nil {
		return nil, err
	}
	return f.Look()
}

// Look reads what has changed since it was last called, and returns the states of all
// files. The error is of the folder, such as that it is not there. It must not be
// called while Run runs, which may follow and then begins with what is known.
func (f *Folder) Look() ([]State, error) {
	_, _, err := f.look(time.Now(), true)
	return f.states(), err
}

// Run calls set with the states of all files, sorted by their paths, as soon as all
// were read once, and whenever one changes, appears or is gone: within a second, and
// together with others that change at the same time. set is not called twice at once.
// Run returns nil when ctx ends. Call it once at a time.
func (f *Folder) Run(ctx context.Context, set func([]State)) error {
	_, _, err := f.look(time.Now(), true)
	f.tell(err)
	set(f.states())
	timer := time.NewTimer(often)
	defer timer.Stop()
	var since time.Time // of the first news that set was not told of
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		news, unsettled, err := f.look(began, false)
		f.tell(err)
		if news && since.IsZero() {
			since = began
		}
		if !since.IsZero() && (!unsettled || began.Sub(since) >= patience) {
			since = time.Time{}
			set(f.states())
		}
		timer.Reset(max(often, share*time.Since(began)))
	}
}

// tell logs what is new about the folder itself.
func (f *Folder) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == f.trouble {
		return
	}
	if f.trouble = text; err != nil {
		f.log.Warn("folder of apps cannot be read, it is looked for again", "apps", f.pattern.text, "err", err)
		return
	}
	f.log.Info("folder of apps is there", "apps", f.pattern.text)
}

// look brings files up to date: at once, or when two looks have found them equal. It
// reports whether a state is new, and whether some file is still changing.
func (f *Folder) look(now time.Time, atOnce bool) (news, unsettled bool, err error) {
	names, err := f.pattern.list()
	if len(names) > maxFiles {
		names, err = names[:maxFiles], fmt.Errorf("more than %d files: those from %s on are left out", maxFiles, names[maxFiles])
	}
	present := make(map[string]bool, len(names))
	for _, name := range names {
		present[name] = true
		changed, settled := f.lookAt(name, now, atOnce)
		news, unsettled = news || changed, unsettled || !settled
	}
	for name, known := range f.files {
		switch {
		case present[name]:
			known.absent = false
		case known.absent || atOnce:
			f.forget(name)
			news = true
		default:
			known.absent, unsettled = true, true
		}
	}
	return f.settleNames() || news, unsettled, err
}

// lookAt brings one file up to date.
func (f *Folder) lookAt(name string, now time.Time, atOnce bool) (news, settled bool) {
	known, s := f.files[name], stampOf(name)
	switch {
	case known == nil:
		f.order++
		known = &file{state: State{File: name, Name: config.FragmentName(name)}, order: f.order}
		f.files[name] = known
	case known.once && s == known.read && !known.again:
		return false, true
	}
	if !atOnce && s != known.seen {
		known.seen = s
		return false, false
	}
	return known.load(f.reader, now), true
}

// forget drops a file that is gone.
func (f *Folder) forget(name string) {
	if app := f.files[name].state.Name; f.holders[app] == name {
		delete(f.holders, app)
	}
	delete(f.files, name)
}

// settleNames gives each name to the file that had it first, and reports whether
// somebody else has one now.
func (f *Folder) settleNames() (news bool) {
	var waiting []*file
	for path, known := range f.files {
		if known.once && f.holders[known.state.Name] != path {
			waiting = append(waiting, known)
		}
	}
	slices.SortFunc(waiting, func(a, b *file) int { return int(a.order) - int(b.order) })
	for _, known := range waiting {
		if _, taken := f.holders[known.state.Name]; !taken {
			f.holders[known.state.Name] = known.state.File
			news = true
		}
	}
	return news
}

// states are those of all files that were read, sorted.
func (f *Folder) states() []State {
	out := make([]State, 0, len(f.files))
	for path, known := range f.files {
		if !known.once {
			continue
		}
		s := known.state
		if holder := f.holders[s.Name]; holder != path {
			s.Fragment, s.Warnings = nil, nil
			s.Err = errors.Join(wrong(path, fmt.Sprintf("the name %q is already that of %s", s.Name, holder), "rename one of the two"), s.Err)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b State) int { return strings.Compare(a.File, b.File) })
	return out
}
