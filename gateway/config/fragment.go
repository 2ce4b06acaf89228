package config

import (
	"path/filepath"
	"strings"

	"headgate/upstream/worker"
)

// Fragment is what the file of one app adds to a configuration: a site, and the pool
// that the routes of the site go to. ParseApp and ParseVassal make one, and Merge adds
// it. Its Pool and Site say what the file says, without the defaults that the rest of
// the configuration decides. It is plain data: who shares it must not change it.
type Fragment struct {
	Name string // of the file, without its directory and its ending: the name of the pool
	File string // as it was given

	Pool *Pool // nil: the site has what it needs of other pools, or needs none
	Site Site

	Vassal *Vassal // what only an ini file of uWSGI says; nil: it is not one

	Warnings Errors // of the file alone; Merge adds those of the whole

	// Late makes it give way, in Merge, to all that are not, whatever their names.
	Late bool

	text    string          // of the file, for excerpts
	secrets map[string]bool // that no excerpt shows
	places  map[string]span
}

// Vassal is what an ini file says of uWSGI itself.
type Vassal struct {
	User   string // uid and gid of the file, as "user" or "user:group"; "": it says none
	Static int    // so many routes, the first ones, are of its static-map
}

// Workers are those of the pool, nil when the fragment starts none.
func (f *Fragment) Workers() *worker.Options {
	if f.Pool == nil {
		return nil
	}
	return f.Pool.Workers
}

// FragmentName is the name of the app in a file: that of the file without its
// directory and its ending.
func FragmentName(file string) string {
	base := filepath.Base(file)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// App is what the file of an app says: what a site says, and what runs. A route that
// does nothing else goes to the app; without routes everything does.
type App struct {
	// The processes of the app. A relative chdir or ini is taken from the directory
	// of this file, which is also the chdir of a command, of an ini file and of an app
	// that is a file; an app that is a module has to say its chdir.
	Workers *worker.Options `yaml:"workers"`

	Pool *Pool `yaml:"pool"` // what else a pool may say, such as queue, vars and check

	Site Site `yaml:",inline"`
}
