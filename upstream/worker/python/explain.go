package python

import (
	"fmt"
	"path/filepath"
	"strings"
)

// explain makes an error of what the probe has found wrong: the fact, the cure, and
// the traceback.
func (p *planner) explain(r *report, c *candidate) error {
	where := r.Module
	switch r.Failed {
	case "raised":
		return p.explainRaised(r)
	case "asgi":
		return fmt.Errorf("%s:%s is an ASGI app, and WSGI servers cannot run it: run an ASGI server, headgate up --protocol http -- uvicorn %[1]s:%[2]s --fd {fd}, "+
			"or name a WSGI app", where, r.Callable)
	case "missing":
		return fmt.Errorf("%s has no %s%s: name what it has, as app: %s:application", where, r.Callable, has(r.Names), where)
	case "not callable":
		return fmt.Errorf("%s:%s is no WSGI app, but of type %s: name something that can be called, as app: %s:application", where, r.Callable, r.Type, where)
	case "expression":
		return fmt.Errorf("%q is not the name of a callable: write module:callable or module:factory(), with numbers and strings as arguments at most", r.Callable)
	case "arguments":
		return fmt.Errorf("%s:%s cannot be called (%s): write a module with application = %s and its arguments, and name that", where, r.Callable, r.Why, strings.TrimSuffix(r.Callable, "()"))
	case "several":
		return fmt.Errorf("%s has several apps (%s): name one, as app: %s:%s", where, strings.Join(r.Names, ", "), where, r.Names[0])
	case "elsewhere":
		return p.explainElsewhere(r, c)
	default: // none
		return fmt.Errorf("%s has no WSGI app (looked for application, app, the app of a framework, create_app() and make_app())%s: name it, as app: %s:callable", where, has(r.Names), where)
	}
}

// has tells what a module has.
func has(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", but " + strings.Join(names, ", ")
}

func (p *planner) explainElsewhere(r *report, c *candidate) error {
	if r.File == "" {
		return fmt.Errorf("%s is a module of Python itself, so %s cannot be imported by that name: rename the file", c.Module, r.Expected)
	}
	return fmt.Errorf("%s was imported from %s, not from %s: rename the file, or write the right chdir", c.Module, r.File, r.Expected)
}

// explainRaised is for an app that raised an exception when it was imported.
func (p *planner) explainRaised(r *report) error {
	fact := r.Type
	if r.Text != "" {
		fact += ": " + r.Text
	}
	return fmt.Errorf("%s cannot be imported (%s): %s%s", r.Module, fact, p.cure(r), block(strings.Join(r.Traceback, "\n")))
}

// cure is what to do about an exception.
func (p *planner) cure(r *report) string {
	switch {
	case r.Type == "SystemExit":
		return "remove what ends Python from the module, or put it below if __name__ == \"__main__\""
	case r.Where != "":
		return "correct " + r.Where
	case r.Variable != "":
		return "give " + r.Variable + " as env"
	case r.Type == "ModuleNotFoundError" && p.ownModule(r):
		return fmt.Sprintf("write the name of a module that is in %s, or the right chdir", p.plan.Dir)
	case r.Type == "ModuleNotFoundError":
		return p.install(r.Name)
	}
	return "correct what the traceback shows"
}

// ownModule reports whether the module that is missing is the one that was to be
// imported, or a package around it.
func (p *planner) ownModule(r *report) bool {
	for _, wanted := range []string{r.Module, r.Settings} {
		if r.Name != "" && (wanted == r.Name || strings.HasPrefix(wanted, r.Name+".")) {
			return true
		}
	}
	return false
}

// install is how a missing module gets into the app's Python.
func (p *planner) install(module string) string {
	python := p.plan.App.Python
	for _, one := range []struct{ file, how string }{
		{"uv.lock", "uv sync"},
		{"poetry.lock", "poetry install"},
		{"Pipfile.lock", "pipenv install"},
		{"requirements.txt", python + " -m pip install -r requirements.txt"},
		{"pyproject.toml", python + " -m pip install -e ."},
	} {
		if isFile(filepath.Join(p.plan.Dir, one.file)) {
			return "put it into that environment, " + one.how
		}
	}
	module, _, _ = strings.Cut(module, ".")
	how := fmt.Sprintf("put it into that environment, %s -m pip install %s", python, module)
	if p.plan.App.Venv == "" {
		how += ", or name the virtual environment that has it as venv"
	}
	return how
}
