package apps

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"time"

	"headgate/gateway/config"
)

// recent is how long after its last change the content of a file can change again
// without another time of change.
const recent = time.Second

// file is what is kept of one.
type file struct {
	state  State
	seen   stamp // at the last look
	read   stamp // of the content that state is of
	sum    [sha256.Size]byte
	once   bool // it was read
	again  bool // it was read too soon after it was written to know that it stays so
	absent bool // at the last look
	order  uint64
}

// load reads f and reports whether anything is new.
func (f *file) load(r reader, now time.Time) bool {
	data, stamp, err := readFile(f.state.File)
	if errors.Is(err, errMoved) {
		f.again = true
		return false
	}
	sum := sha256.Sum256(data)
	newer := stamp.mtime > f.read.mtime
	same := f.once && sum == f.sum && err == nil && f.read.err == ""
	owned := f.read.uid == stamp.uid && f.read.gid == stamp.gid && f.read.mode == stamp.mode && f.read.link == stamp.link && f.read.linkUID == stamp.linkUID
	was := f.state.Err
	f.read, f.seen, f.sum = stamp, stamp, sum
	f.again = now.Sub(time.Unix(0, int64(stamp.mtime))) < recent
	if err != nil {
		f.read.err = err.Error()
	}
	switch {
	case same && owned && newer:
		f.state.Touched++
		return true
	case same && owned:
		return false
	case err != nil && f.once && was != nil && was.Error() == err.Error():
		return false
	}
	if !same {
		f.state.Changed = now
	}
	f.understand(r, data, stamp, err, f.once && !same)
	f.once = true
	return true
}

// understand takes the content of f for its state, or says what is wrong with it.
func (f *file) understand(r reader, data []byte, s stamp, err error, changed bool) {
	var fragment *config.Fragment
	if err == nil {
		fragment, err = r.parse(f.state.File, data, s)
	}
	if f.state.Err = err; err != nil {
		return
	}
	if changed && fragment.Vassal != nil && f.state.Fragment != nil {
		f.state.Touched++
	}
	f.state.Fragment, f.state.Warnings = fragment, fragment.Warnings
}

// reader knows how contents are understood.
type reader struct {
	env    func(string) (string, bool)
	tyrant bool // each app runs as the owner of its file
}

func (r reader) parse(file string, data []byte, s stamp) (*config.Fragment, error) {
	env := r.env
	if r.tyrant && s.uid != 0 {
		env = nil // which may have secrets of the gateway
	}
	var f *config.Fragment
	var err error
	switch kindOf(file) {
	case iniFile:
		f, err = config.ParseVassal(file, data)
	case noFile:
		return nil, wrong(file, "files that end in "+filepath.Ext(file)+" are not supported", "write it as YAML (hosts, workers, routes), or as uWSGI's ini")
	case other:
		return nil, wrong(file, "does not end in .yaml or .ini", "rename it, or change the pattern of apps")
	default:
		f, err = config.ParseApp(file, data, env)
	}
	if err != nil || !r.tyrant {
		return f, err
	}
	return tyrant(f, s)
}
