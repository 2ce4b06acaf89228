package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// uwsgi is a uWSGI that runs Python.
type uwsgi struct {
	path    string
	plugin  string // that has Python; "": it is embedded
	version string
	python  string // its version
	prefix  string // where that is installed
	series  string
}

// describeUWSGI is what the Python in a uWSGI is asked.
const describeUWSGI = `import json,os,sys,uwsgi; os.write(3,json.dumps(dict(series="%d.%d"%sys.version_info[:2],prefix=os.path.realpath(sys.base_prefix),` +
	`python=sys.version.split()[0],version=uwsgi.version.decode())).encode()); os._exit(0)`

// findUWSGI finds a uWSGI whose Python is that of the app: of the same version, and
// installed at the same place, since what can be imported depends on both.
func (p *planner) findUWSGI(ctx context.Context, i *interpreter) (*uwsgi, error) {
	var why error
	for _, path := range p.uwsgis(i) {
		u, err := p.inspectUWSGI(ctx, path)
		switch {
		case err != nil:
			why = errors.Join(why, err)
		case u.series != i.series() || u.prefix != i.prefix && !ofVenv(path, i):
			why = errors.Join(why, fmt.Errorf("uWSGI %s (%s) has Python %s of %s, the app's is %s of %s", u.version, path, u.python, u.prefix, p.plan.App.Version, i.prefix))
		default:
			return u, nil
		}
	}
	if why == nil {
		return nil, errors.New("uWSGI is not there")
	}
	return nil, errors.New(strings.ReplaceAll(why.Error(), "\n", "; "))
}

// ofVenv reports whether a uWSGI is in the app's virtual environment, whose Python has
// built it.
func ofVenv(path string, i *interpreter) bool {
	return i.venv != "" && filepath.Dir(path) == filepath.Join(i.venv, "bin")
}

// uwsgis are the uWSGIs that there are, that of the virtual environment first. i may
// be nil.
func (p *planner) uwsgis(i *interpreter) []string {
	var paths []string
	if path := p.env.program("uwsgi", p.plan.Dir); path != "" { // the virtual environment is first in PATH
		paths = append(paths, path)
	}
	if i != nil {
		if path := filepath.Join(filepath.Dir(i.path), "uwsgi"); executable(path) && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// inspectUWSGI asks a uWSGI about its Python. Debian's has it in a plugin.
func (p *planner) inspectUWSGI(ctx context.Context, path string) (*uwsgi, error) {
	env := p.plainUWSGI()
	for _, plugin := range []string{"", "python3", "python"} {
		args := []string{"--no-server", "--eval", describeUWSGI}
		if plugin != "" {
			args = append([]string{"--plugin", plugin}, args...)
		}
		is := struct{ Series, Prefix, Python, Version string }{}
		if said := p.look.ask(ctx, env, path, args...); said.fail == nil && json.Unmarshal(said.fd3, &is) == nil {
			version, _, _ := strings.Cut(is.Version, "-")
			return &uwsgi{path: path, plugin: plugin, version: version, python: is.Python, prefix: is.Prefix, series: is.Series}, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("%s runs no Python (apt install uwsgi-plugin-python3 may be what it wants)", path)
}

// plainUWSGI is the environment without options of uWSGI, which variables can be, and
// without a virtual environment's part in what its Python says of itself.
func (p *planner) plainUWSGI() environment {
	env := make(environment, len(p.env))
	for name, value := range p.env {
		if !strings.HasPrefix(name, "UWSGI_") && name != "PYTHONHOME" {
			env[name] = value
		}
	}
	return env
}

// runUWSGI makes uWSGI's command line for an app. The comments say what was measured
// with uWSGI 2.0.21.
func (p *planner) runUWSGI(u *uwsgi) {
	var args []string
	if u.plugin != "" {
		args = append(args, "--plugin", u.plugin)
	}
	if p.plan.App.Venv != "" {
		args = append(args, "--home", p.plan.App.Venv)
	}
	args = append(args,
		"--master",
		"--die-on-term", // without it TERM is a reload
		"--need-app",    // status 22 when the app cannot be imported
		"--no-orphans",  // workers end when the master has gone
		"--socket", p.uwsgiSocket(),
		"--buffer-size", "65535", // what the protocol allows
		"--processes", strconv.Itoa(p.Most), "--threads", strconv.Itoa(p.Threads),
		"--enable-threads", // apps may start their own
		// Each process imports the app for itself, as with gunicorn: what an app opens
		// and starts while it is imported (connections, threads) does not survive a
		// fork. The price is that they share no memory; flags: [--set, lazy-apps=false]
		// has it otherwise.
		"--lazy-apps",
		"--disable-logging",                         // of requests: the gateway does it
		"--ignore-sigpipe", "--ignore-write-errors", // in the log; the app is told all the same
		"--worker-reload-mercy", strconv.Itoa(seconds(p.Stop)),
	)
	if p.Most > 1 && p.Threads > 1 {
		args = append(args, "--thunder-lock")
	}
	if p.MaxRequests > 0 {
		args = append(args, "--max-requests", strconv.Itoa(p.MaxRequests))
	}
	if p.MaxRSS > 0 {
		args = append(args, "--reload-on-rss", strconv.FormatInt(max(1, p.MaxRSS>>20), 10))
	}
	if p.MaxRequests > 0 || p.MaxRSS > 0 {
		args = append(args, "--min-worker-lifetime", "1") // by default it replaces none that is younger than a minute
	}
	args = append(args, p.uwsgiPlaces()...)
	args = append(args, p.cheaper()...)
	args = append(args, uwsgiApp(p.plan.App.Target, p.wrap())...)
	p.plan.Server, p.plan.Path, p.plan.Args, p.plan.Dialect = UWSGI, u.path, append(args, p.Flags...), "uwsgi"
}

// uwsgiSocket is how uWSGI is given a socket that listens. Given its path it would not
// notice that it has it: it binds another one to the path, with mode 755 and a queue of
// 100, so that the one we keep open is lost. With fd:// it says "inherited UNIX
// address", leaves the mode and the queue as they are, finds it again when it reloads,
// and does not remove the path even with vacuum.
func (p *planner) uwsgiSocket() string { return "fd://" + strconv.Itoa(p.FD) }

// uwsgiPlaces are the files that uWSGI makes for us.
func (p *planner) uwsgiPlaces() (args []string) {
	if p.Fifo != "" {
		p.plan.Fifo = p.Fifo
		args = append(args, "--master-fifo", p.Fifo)
	}
	if p.Stats != "" {
		// With cores, as they tell what is busy. They have headers of requests, but the
		// directory of the socket is closed to others.
		p.plan.Stats = p.Stats
		args = append(args, "--stats", p.Stats)
		if where := filepath.Join(filepath.Dir(p.Stats), "traceback"); len(where) <= mostSocketPath-4 {
			args = append(args, "--py-tracebacker", where) // and the number of the worker
		}
	}
	return args
}

// mostSocketPath is what every system takes as the path of a socket.
const mostSocketPath = 103

// cheaper lets the number of processes change. With the algorithm manual only + and -
// in the FIFO do that, one process a sign; - goes below --cheaper, down to none, so who
// writes it has to count. Without a FIFO uWSGI sees to it itself.
func (p *planner) cheaper() []string {
	if !p.scales() {
		return nil
	}
	algorithm := "spare"
	if p.plan.Fifo != "" {
		algorithm = "manual"
		p.plan.Scales = true
	}
	if p.Min >= p.Most {
		return nil
	}
	return []string{"--cheaper", strconv.Itoa(p.Min), "--cheaper-initial", strconv.Itoa(p.Processes), "--cheaper-algo", algorithm}
}

// uwsgiApp tells uWSGI the app. It knows module:callable and module:factory(); of
// other callables, and of what goes around one, Python is asked.
func uwsgiApp(target, wrap string) []string {
	module, callable, _ := strings.Cut(target, ":")
	if wrap == "" && isIdentifier(strings.TrimSuffix(callable, "()")) {
		return []string{"--module", target}
	}
	code := fmt.Sprintf("import importlib; application = importlib.import_module(%q).%s", module, callable)
	if wrap != "" {
		module, callable, _ = strings.Cut(wrap, ":")
		code += fmt.Sprintf("; application = importlib.import_module(%q).%s(application)", module, callable)
	}
	return []string{"--eval", code}
}
