package python

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"headgate/upstream/worker/builtin"
)

// server chooses what runs the app, and makes its command line.
func (p *planner) server(ctx context.Context, i *interpreter) error {
	switch p.Server {
	case UWSGI:
		u, err := p.findUWSGI(ctx, i)
		if err != nil {
			return fmt.Errorf("server uwsgi: %w: put a uWSGI of that Python there, %s -m pip install uwsgi, or choose auto", err, i.path)
		}
		p.chose("uWSGI %s (%s), as server says uwsgi", u.version, u.path)
		p.runUWSGI(u)
	case Gunicorn:
		g, err := p.findGunicorn(ctx, i)
		if err != nil {
			return fmt.Errorf("server gunicorn: %w: put a newer one there, %s -m pip install -U gunicorn, or choose auto", err, i.path)
		}
		p.chose("gunicorn %s, as server says gunicorn", g)
		return p.runGunicorn(i)
	case Builtin:
		p.chose("Headgate's own server, as server says builtin")
		p.runBuiltin(i)
	default:
		p.best(ctx, i)
	}
	return nil
}

// best chooses the best server that is there, and tells why not another.
func (p *planner) best(ctx context.Context, i *interpreter) {
	u, notUWSGI := p.findUWSGI(ctx, i)
	if notUWSGI == nil {
		p.chose("chose uWSGI %s (%s): its Python is that of the app", u.version, u.path)
		p.runUWSGI(u)
		return
	}
	g, notGunicorn := p.findGunicorn(ctx, i)
	if notGunicorn == nil {
		if notGunicorn = p.runGunicorn(i); notGunicorn == nil {
			p.chose("chose gunicorn %s: %v", g, notUWSGI)
			return
		}
	}
	p.chose("chose Headgate's own server: %v; %v", notUWSGI, notGunicorn)
	p.runBuiltin(i)
}

func (p *planner) runBuiltin(i *interpreter) {
	p.plan.Server, p.plan.Path, p.plan.Dialect, p.plan.Scales = Builtin, i.path, "uwsgi", true
	p.plan.Script = builtin.Script()
	p.plan.Args = append(builtin.Command(p.Script, builtin.Options{
		App: p.plan.App.Target, Wrap: p.wrap(), FD: p.FD, Chdir: p.plan.Dir, Processes: p.Processes, Threads: p.Threads,
		MaxRequests: p.MaxRequests, MaxRSS: p.MaxRSS, Stop: p.Stop,
	}), p.Flags...)
}

// wrap is what goes around the app, said aloud.
func (p *planner) wrap() string {
	if p.plan.App.Wrap != "" {
		p.chose("DEBUG is on: Django finds static files itself, as in runserver")
	}
	return p.plan.App.Wrap
}

// The first gunicorn that serves uwsgi on more than one request of a connection without
// mistakes.
const (
	gunicornMajor = 25
	gunicornMinor = 2
)

var gunicornVersion = regexp.MustCompile(`version ((\d{1,4})\.(\d{1,4})[\w.]*)`)

// findGunicorn returns the version of the gunicorn in the app's Python, if it is one
// that will do.
func (p *planner) findGunicorn(ctx context.Context, i *interpreter) (string, error) {
	return p.askGunicorn(ctx, i.path, "-m", "gunicorn")
}

// askGunicorn asks the gunicorn of a command for its version.
func (p *planner) askGunicorn(ctx context.Context, path string, args ...string) (string, error) {
	said := p.look.ask(ctx, p.env, path, append(args[:len(args):len(args)], "--version")...)
	m := gunicornVersion.FindStringSubmatch(said.out + said.err)
	switch {
	case said.fail == nil && m != nil:
	case strings.Contains(said.err, "No module named gunicorn"):
		return "", fmt.Errorf("gunicorn is not in the Python of the app")
	default:
		return "", fmt.Errorf("gunicorn does not say its version%s", lastLine(said.err))
	}
	major, _ := strconv.Atoi(m[2])
	minor, _ := strconv.Atoi(m[3])
	if major < gunicornMajor || major == gunicornMajor && minor < gunicornMinor {
		return "", fmt.Errorf("gunicorn %s is older than %d.%d, which serves uwsgi", m[1], gunicornMajor, gunicornMinor)
	}
	return m[1], nil
}

// shell is where a process learns its own number before it is the program.
const shell = "/bin/sh"

// activated makes a command one that systemd might have started: with LISTEN_FDS, and
// LISTEN_PID, which only the process itself can know. It reports whether it could.
func activated(env environment, path string, args []string) (string, []string, bool) {
	env["LISTEN_FDS"] = "1"
	if _, err := os.Stat(shell); err != nil {
		return path, args, false
	}
	return shell, append([]string{"-c", `export LISTEN_PID=$$; exec "$@"`, "sh", path}, args...), true
}
