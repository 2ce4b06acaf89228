package python

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// usual are the modules that have apps, and usualPackage those in packages.
var (
	usual        = []string{"wsgi", "app", "application", "main"}
	usualPackage = []string{"wsgi", "app", "application", "main", ""}
)

// search finds where the app of a directory may be, when nothing is said.
func (p *planner) search() ([]candidate, error) {
	dir := p.plan.Dir
	if isFile(filepath.Join(dir, "manage.py")) {
		return p.django(dir)
	}
	for _, look := range []func() ([]candidate, error){p.fromFlask, p.fromProject} {
		if found, err := look(); err != nil || len(found) > 0 {
			return found, err
		}
	}
	var found []candidate
	for _, root := range []string{dir, filepath.Join(dir, "src")} {
		for _, name := range usual {
			if file := filepath.Join(root, name+".py"); isFile(file) {
				found = append(found, candidate{Module: name, File: file, Dir: root, said: "found " + p.brief(file)})
			}
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	return p.fromPackages()
}

// nothing is the error of a search that was in vain. Other files are named, and not
// imported: who knows what they do.
func (p *planner) nothing() error {
	if files := p.pythonFiles(); len(files) > 0 {
		return fmt.Errorf("no app is in %s by a usual name (manage.py, FLASK_APP, pyproject.toml, %s.py, the same in src and in packages), but %s: "+
			"name the file that has the app, such as %s", p.plan.Dir, strings.Join(usual, ".py, "), strings.Join(files, ", "), files[0])
	}
	return fmt.Errorf("no app is in %s (looked for manage.py, FLASK_APP, pyproject.toml, %s.py, the same in src and in packages): "+
		"write module:callable as app, such as shop.wsgi:application, or chdir to where it is", p.plan.Dir, strings.Join(usual, ".py, "))
}

// pythonFiles are the first names of files in the directory that may have an app, those
// whose text looks like it before others.
func (p *planner) pythonFiles() []string {
	const most = 3
	paths, _ := filepath.Glob(globQuote.Replace(p.plan.Dir) + "/*.py")
	var likely, others []string
	for _, path := range paths[:min(len(paths), mostEntries)] {
		name := filepath.Base(path)
		text, err := head(path)
		switch {
		case err != nil, name == "setup.py", name == "conftest.py", strings.HasPrefix(name, "test"):
		case appLike.Match(text):
			likely = append(likely, name)
		default:
			others = append(others, name)
		}
	}
	found := slices.Concat(likely, others)
	return found[:min(len(found), most)]
}

// appLike is what modules have that have an app.
var appLike = regexp.MustCompile(`start_response|(?m:^(?:def )?(?:app|application|create_app|make_app)\b)`)

// globQuote makes a path a pattern of itself.
var globQuote = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// settingsLine finds the settings in a manage.py.
var settingsLine = regexp.MustCompile(`DJANGO_SETTINGS_MODULE['"]\s*(?:,|\]\s*=|:)\s*['"]([\w.]+)['"]`)

// django is the candidate of a directory with a manage.py.
func (p *planner) django(dir string) ([]candidate, error) {
	p.plan.Dir, p.look.dir = dir, dir
	text, err := head(filepath.Join(dir, "manage.py"))
	if err != nil {
		return nil, err
	}
	settings := ""
	if m := settingsLine.FindSubmatch(text); m != nil {
		settings = string(m[1])
	}
	if named := p.env["DJANGO_SETTINGS_MODULE"]; named != "" {
		settings = named
	}
	if settings == "" {
		return nil, fmt.Errorf("%s does not say DJANGO_SETTINGS_MODULE: write module:callable as app, such as shop.wsgi:application", filepath.Join(dir, "manage.py"))
	}
	if err := validModule(settings); err != nil {
		return nil, fmt.Errorf("DJANGO_SETTINGS_MODULE: %w", err)
	}
	project, _, _ := strings.Cut(settings, ".")
	said := fmt.Sprintf("found manage.py: Django project %s, settings %s", project, settings)
	return []candidate{{Module: settings, Settings: settings, Dir: dir, said: said}}, nil
}

// fromFlask is what FLASK_APP names, in the environment or in the files that Flask
// reads.
func (p *planner) fromFlask() ([]candidate, error) {
	value, where := p.env["FLASK_APP"], "the environment"
	for _, name := range []string{".flaskenv", ".env"} {
		if value != "" {
			break
		}
		text, err := head(filepath.Join(p.plan.Dir, name))
		if err != nil {
			continue
		}
		value, where = dotenv(text)["FLASK_APP"], name
	}
	if value == "" {
		return nil, nil
	}
	c, err := p.named(value)
	if err != nil {
		return nil, fmt.Errorf("FLASK_APP in %s: %w", where, err)
	}
	c.said = fmt.Sprintf("FLASK_APP in %s is %s", where, value)
	return []candidate{c}, nil
}

// named is the candidate that a project itself names, as a module or a file.
func (p *planner) named(app string) (candidate, error) {
	path, callable := splitApp(app, p.plan.Dir)
	if full := absolute(p.plan.Dir, path); strings.HasSuffix(path, ".py") || strings.Contains(path, "/") {
		if isFile(full + ".py") {
			full += ".py"
		}
		if isFile(filepath.Join(full, "__init__.py")) {
			full = filepath.Join(full, "__init__.py")
		}
		if !isFile(full) {
			return candidate{}, fmt.Errorf("%s is not there: name a file or a module that is", full)
		}
		return fromFile(full, callable)
	}
	if err := validModule(path); err != nil {
		return candidate{}, err
	}
	return candidate{Module: path, Callable: callable, Dir: importDir(p.plan.Dir, path)}, nil
}

// fromProject is what pyproject.toml says: our own line, or the package that has the
// project's name.
func (p *planner) fromProject() ([]candidate, error) {
	text, err := head(filepath.Join(p.plan.Dir, "pyproject.toml"))
	if err != nil {
		return nil, nil
	}
	values := pyproject(text)
	if app := values["tool.headgate.app"]; app != "" {
		c, err := p.named(app)
		if err != nil {
			return nil, fmt.Errorf("app of [tool.headgate] in pyproject.toml: %w", err)
		}
		c.said = "pyproject.toml says app = " + app
		return []candidate{c}, nil
	}
	name := values["project.name"]
	if name == "" {
		name = values["tool.poetry.name"]
	}
	name = strings.NewReplacer("-", "_", ".", "_").Replace(name)
	for _, one := range []string{name, strings.ToLower(name)} {
		for _, root := range []string{p.plan.Dir, filepath.Join(p.plan.Dir, "src")} {
			if isIdentifier(one) && isModule(root, one) {
				return inPackage(root, one, fmt.Sprintf("pyproject.toml is of project %s", name)), nil
			}
		}
	}
	return nil, nil
}

// inPackage are the usual places in a package, or the module of that name.
func inPackage(root, name, said string) []candidate {
	if file := filepath.Join(root, name+".py"); isFile(file) {
		return []candidate{{Module: name, File: file, Dir: root, said: said}}
	}
	var found []candidate
	for _, sub := range usualPackage {
		module, file := name+"."+sub, filepath.Join(root, name, sub+".py")
		if sub == "" {
			module, file = name, filepath.Join(root, name, "__init__.py")
		}
		if isFile(file) {
			found = append(found, candidate{Module: module, File: file, Dir: root, said: said})
		}
	}
	return found
}

// fromPackages is the only package, or the only directory with a manage.py, that
// there is.
func (p *planner) fromPackages() ([]candidate, error) {
	var managed, packages []string
	for _, root := range []string{p.plan.Dir, filepath.Join(p.plan.Dir, "src")} {
		for _, name := range directories(root) {
			dir := filepath.Join(root, name)
			switch {
			case isFile(filepath.Join(dir, "manage.py")):
				managed = append(managed, dir)
			case hasApp(dir) && isIdentifier(name):
				packages = append(packages, dir)
			}
		}
	}
	found := slices.Concat(managed, packages)
	for i := range found {
		found[i] = p.brief(found[i])
	}
	switch {
	case len(managed) == 1:
		return p.django(managed[0])
	case len(found) > 1:
		return nil, fmt.Errorf("several apps may be meant in %s (%s): name one as app, such as %s", p.plan.Dir, strings.Join(found, ", "), found[0])
	case len(packages) == 1:
		return inPackage(filepath.Dir(packages[0]), filepath.Base(packages[0]), "found package "+found[0]), nil
	}
	return nil, p.nothing()
}

// hasApp reports whether a directory has one of the usual modules, or is a package.
func hasApp(dir string) bool {
	return slices.ContainsFunc([]string{"wsgi.py", "app.py", "application.py", "__init__.py"}, func(name string) bool { return isFile(filepath.Join(dir, name)) }) &&
		!slices.Contains([]string{"tests", "test", "docs", "migrations", "scripts"}, filepath.Base(dir))
}

// directories are the names of those below another that may have code; at most 1000.
func directories(root string) []string {
	f, err := os.Open(root)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, err := f.ReadDir(mostEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); isDir(filepath.Join(root, name)) == nil && !strings.HasPrefix(name, ".") && !isFile(filepath.Join(root, name, "pyvenv.cfg")) && name != "node_modules" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Bounds of what is read to find an app.
const (
	mostEntries = 1000
	mostFile    = 1 << 20
)

// head reads a file, or the beginning of a big one.
func head(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if is, err := f.Stat(); err != nil || !is.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a file")}
	}
	return io.ReadAll(io.LimitReader(f, mostFile))
}
