package python

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// candidate is where an app may be. The probe decides.
type candidate struct {
	Module   string `json:"module"`             // that is imported
	Callable string `json:"callable,omitempty"` // in it, perhaps called: create_app(); "": what is usual
	Settings string `json:"settings,omitempty"` // of Django, which name the module and the callable
	File     string `json:"file,omitempty"`     // that the module must come from; "": any
	Dir      string `json:"dir"`                // that it is imported from

	said string // where it comes from, for people
}

// candidates finds where the app may be, the likeliest first.
func (p *planner) candidates() ([]candidate, error) {
	path, callable := splitApp(p.App, p.Dir)
	switch {
	case path == "":
		return nil, fmt.Errorf("app %q names no module: write module:callable, a file, or . for what is in the directory", p.App)
	case p.isPath(path):
		return p.fromPath(path, callable)
	}
	if err := validModule(path); err != nil {
		return nil, fmt.Errorf("app %q: %w", p.App, err)
	}
	c := candidate{Module: path, Callable: callable, Dir: importDir(p.Dir, path), said: fmt.Sprintf("app %s is given", p.App)}
	return []candidate{c}, nil
}

// splitApp cuts an app into a module or a path and what is behind the colon.
func splitApp(app, dir string) (path, callable string) {
	app = strings.TrimSpace(app)
	if _, err := os.Stat(absolute(dir, app)); err == nil && app != "" {
		return app, ""
	}
	path, callable, _ = strings.Cut(app, ":")
	return strings.TrimSpace(path), strings.TrimSpace(callable)
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// isPath tells a path from a module.
func (p *planner) isPath(s string) bool {
	if s == "." || strings.Contains(s, "/") || strings.HasSuffix(s, ".py") {
		return true
	}
	dir := filepath.Join(p.Dir, s)
	return isDir(dir) == nil && !isModule(p.Dir, s) && !isFile(filepath.Join(p.Dir, "src", s, "__init__.py"))
}

// isModule reports whether a name can be imported from a directory, as a file or as a
// package with an __init__.py.
func isModule(dir, name string) bool {
	return isFile(filepath.Join(dir, name+".py")) || isFile(filepath.Join(dir, name, "__init__.py"))
}

// fromPath finds the app in a file or a directory.
func (p *planner) fromPath(path, callable string) ([]candidate, error) {
	full := absolute(p.Dir, path)
	is, err := os.Stat(full)
	switch {
	case err != nil:
		return nil, fmt.Errorf("app %q: %w: write module:callable, the path of a file, or . for what is in %s", p.App, err, p.Dir)
	case is.IsDir() && callable != "":
		return nil, fmt.Errorf("app %q: %s is a directory: name the file or the module in it that has %s", p.App, full, callable)
	case is.IsDir():
		p.plan.Dir, p.look.dir = full, full
		return p.search()
	case filepath.Base(full) == "manage.py":
		return p.django(filepath.Dir(full))
	}
	c, err := fromFile(full, callable)
	if err != nil {
		return nil, fmt.Errorf("app %q: %w", p.App, err)
	}
	c.said = fmt.Sprintf("app %s is given", p.App)
	return []candidate{c}, nil
}

// fromFile is the module that a file is, with the packages that it is in.
func fromFile(file, callable string) (candidate, error) {
	base := filepath.Base(file)
	name, ok := strings.CutSuffix(base, ".py")
	if !ok {
		return candidate{}, fmt.Errorf("%s is not a Python file, whose name ends in .py: name one", file)
	}
	dir := filepath.Dir(file)
	parts := []string{name}
	if name == "__init__" {
		parts = nil
	}
	for isFile(filepath.Join(dir, "__init__.py")) && dir != filepath.Dir(dir) {
		parts = append([]string{filepath.Base(dir)}, parts...)
		dir = filepath.Dir(dir)
	}
	module := strings.Join(parts, ".")
	if err := validModule(module); err != nil {
		return candidate{}, err
	}
	return candidate{Module: module, Callable: callable, File: file, Dir: dir}, nil
}

// importDir is where a module is imported from: src, if it is there and only there.
func importDir(dir, module string) string {
	top, _, _ := strings.Cut(module, ".")
	src := filepath.Join(dir, "src")
	if !isModule(dir, top) && isDir(filepath.Join(dir, top)) != nil && (isModule(src, top) || isDir(filepath.Join(src, top)) == nil) {
		return src
	}
	return dir
}

// validModule says what is wrong with the name of a module.
func validModule(name string) error {
	for part := range strings.SplitSeq(name, ".") {
		if !isIdentifier(part) {
			return fmt.Errorf("%q cannot be the name of a module: write letters, digits and _, with dots between packages, such as shop.wsgi", name)
		}
	}
	return nil
}

// isIdentifier is true of the names of Python; letters of other scripts are left to
// Python itself.
func isIdentifier(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
