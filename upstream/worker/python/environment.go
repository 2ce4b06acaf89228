package python

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// environment is the variables of processes.
type environment map[string]string

// inherited is what workers get of the gateway's environment, and more. What is meant
// for the gateway itself, by its users, by systemd or by a uWSGI or gunicorn that runs
// it, is not. Strangers, who are another user than we are, get nothing but where
// programs are and how people write: the rest may be secrets of ours.
func inherited(ours []string, strangers bool, more map[string]string) environment {
	e := make(environment, len(ours)+len(more)+4)
	for _, pair := range ours {
		if name, value, ok := strings.Cut(pair, "="); ok && name != "" && !private(name) && (!strangers || public(name)) {
			e[name] = value
		}
	}
	e["PYTHONUNBUFFERED"] = "1" // what is printed comes at once
	maps.Copy(e, more)
	return e
}

// public reports whether a variable is for everybody on the machine.
func public(name string) bool {
	return strings.HasPrefix(name, "LC_") || slices.Contains([]string{"PATH", "LANG", "LANGUAGE", "TZ", "TERM"}, name)
}

func private(name string) bool {
	for _, prefix := range []string{"HEADGATE_", "LISTEN_", "WATCHDOG_", "UWSGI_RELOADS", "UWSGI_EMPEROR_", "UWSGI_ORIGINAL_PROC_NAME", "GUNICORN_PID", "GUNICORN_FD"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "SYSTEMD_EXEC_PID", "CREDENTIALS_DIRECTORY"}, name)
}

// list returns name=value, sorted.
func (e environment) list() []string {
	list := make([]string, 0, len(e))
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// prepend puts a directory before those of a list.
func (e environment) prepend(name, dir string) {
	if old := e[name]; old != "" {
		dir += string(os.PathListSeparator) + old
	}
	e[name] = dir
}

// activate does what the activate script of a virtual environment would do; "" is
// none.
func (e environment) activate(venv string) {
	delete(e, "VIRTUAL_ENV")
	if venv == "" {
		return
	}
	delete(e, "PYTHONHOME")
	e["VIRTUAL_ENV"] = venv
	e.prepend("PATH", filepath.Join(venv, "bin"))
}

// program finds an executable in PATH, or "".
func (e environment) program(name, dir string) string {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if executable(name) {
			return name
		}
		return ""
	}
	for _, one := range filepath.SplitList(e["PATH"]) {
		if one == "" || !filepath.IsAbs(one) {
			one = filepath.Join(dir, one)
		}
		if path := filepath.Join(one, name); executable(path) {
			return path
		}
	}
	return ""
}

func executable(path string) bool {
	is, err := os.Stat(path)
	return err == nil && is.Mode().IsRegular() && is.Mode()&0o111 != 0
}
