package python

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// interpreter is a Python.
type interpreter struct {
	path   string // to run it; within a virtual environment it is of that
	prefix string // where it was installed, whatever the virtual environment: sys.base_prefix
	major  int
	minor  int
	venv   string
}

// series is the part of its version that decides what it can import.
func (i *interpreter) series() string { return fmt.Sprintf("%d.%d", i.major, i.minor) }

// describe is what an interpreter is asked. The app has no say in it (-I).
const describe = `import json,os,sys; os.write(3,json.dumps(dict(major=sys.version_info[0],minor=sys.version_info[1],` +
	`prefix=os.path.realpath(getattr(sys,"base_prefix",sys.prefix)),executable=sys.executable,version=sys.version.split()[0])).encode())`

// interpreter finds the Python of the app.
func (p *planner) interpreter(ctx context.Context) (*interpreter, error) {
	venv, err := p.venv()
	if err != nil {
		return nil, err
	}
	p.env.activate(venv)
	if venv != "" {
		return p.inspect(ctx, filepath.Join(venv, "bin", "python"), venv)
	}
	path := p.env.program("python3", p.Dir)
	if path == "" {
		path = p.env.program("python", p.Dir)
	}
	if path == "" {
		return nil, fmt.Errorf("there is no python3 in PATH (%s): put Python 3.8 or newer there, or name a virtual environment as venv", p.env["PATH"])
	}
	return p.inspect(ctx, path, "")
}

// inspect runs a Python and asks it who it is.
func (p *planner) inspect(ctx context.Context, path, venv string) (*interpreter, error) {
	is := struct {
		Major, Minor                int
		Prefix, Executable, Version string
	}{}
	said := p.look.ask(ctx, p.env, path, "-I", "-c", describe)
	if err := json.Unmarshal(said.fd3, &is); err != nil || said.fail != nil {
		if said.fail == nil {
			said.fail = err
		}
		cure := "put Python 3.8 or newer first in PATH"
		if venv != "" {
			cure = "make it anew, python3 -m venv --clear " + venv
		}
		return nil, fmt.Errorf("%s does not run (%w%s): %s", path, said.fail, lastLine(said.err), cure)
	}
	if is.Major != 3 || is.Minor < 8 {
		return nil, fmt.Errorf("%s is Python %s: use Python 3.8 or newer", path, is.Version)
	}
	if venv == "" && is.Executable != "" {
		path = is.Executable // what was in PATH may be a script that chooses one
	}
	a := &p.plan.App
	a.Python, a.Version, a.Venv = path, is.Version, venv
	p.chose("Python %s, %s", is.Version, path)
	return &interpreter{path: path, prefix: is.Prefix, major: is.Major, minor: is.Minor, venv: venv}, nil
}

// lastLine is the last line of what a program has said, after a colon, or "".
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	if s = strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:]); s == "" {
		return ""
	}
	const most = 300
	return ": " + s[:min(len(s), most)]
}
