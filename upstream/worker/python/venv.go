package python

import (
	"fmt"
	"os"
	"path/filepath"
)

// off is what Request.Venv says for none.
const off = "off"

// venv returns the virtual environment of the app, or "". One that is there and
// broken is an error.
func (p *planner) venv() (string, error) {
	switch {
	case p.Venv == off:
		p.chose("no virtual environment, as it is off")
		return "", nil
	case p.Venv != "":
		dir := p.Venv
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(p.Dir, dir)
		}
		return dir, validVenv(dir, fmt.Sprintf("venv %s", p.Venv))
	}
	if dir := p.nearVenv(); dir != "" {
		p.chose("found the virtual environment %s", p.brief(dir))
		return dir, validVenv(dir, "virtual environment")
	}
	if dir := p.env["VIRTUAL_ENV"]; dir != "" {
		p.chose("took the virtual environment %s, which VIRTUAL_ENV names", dir)
		return dir, validVenv(dir, "VIRTUAL_ENV")
	}
	return "", nil
}

// nearVenv looks in the directory of the app, and those above it that still belong to
// the project.
func (p *planner) nearVenv() string {
	for dir, top := p.plan.Dir, p.projectRoot(); ; dir = filepath.Dir(dir) {
		for _, name := range []string{".venv", "venv", "env"} {
			if one := filepath.Join(dir, name); isFile(filepath.Join(one, "pyvenv.cfg")) {
				return one
			}
		}
		if dir == top {
			return ""
		}
	}
}

// projectRoot is the nearest directory, upwards from that of the app, with what only
// the top of a project has; if there is none it is that of the app.
func (p *planner) projectRoot() string {
	for dir := p.plan.Dir; ; dir = filepath.Dir(dir) {
		for _, name := range []string{"pyproject.toml", ".git", "manage.py"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return dir
			}
		}
		if dir == filepath.Dir(dir) {
			return p.plan.Dir
		}
	}
}

// validVenv says what is wrong with a virtual environment.
func validVenv(dir, who string) error {
	anew := "make it anew, python3 -m venv --clear " + dir
	if err := isDir(dir); err != nil {
		return fmt.Errorf("%s: %w: name one that is there, or write off", who, err)
	}
	bin := filepath.Join(dir, "bin", "python")
	if !isFile(filepath.Join(dir, "pyvenv.cfg")) && !isFile(filepath.Join(dir, "conda-meta", "history")) {
		return fmt.Errorf("%s: %s has no pyvenv.cfg, so it is no virtual environment: name one, or write off", who, dir)
	}
	if to, err := os.Readlink(bin); err == nil && !isFile(bin) {
		return fmt.Errorf("%s: the Python of %s is gone (bin/python is a link to %s): %s", who, dir, to, anew)
	}
	if !executable(bin) {
		return fmt.Errorf("%s: %s has no bin/python that can be run: %s", who, dir, anew)
	}
	return nil
}

func isFile(path string) bool {
	is, err := os.Stat(path)
	return err == nil && is.Mode().IsRegular()
}

// brief is a path as people would write it in the directory of the app.
func (p *planner) brief(path string) string {
	if rel, err := filepath.Rel(p.plan.Dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
