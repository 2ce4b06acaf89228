package python

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ownCommand plans for Request.Command.
func (p *planner) ownCommand(ctx context.Context) error {
	venv, err := p.venv()
	if err != nil && p.Venv != "" {
		return err
	}
	if err == nil {
		p.env.activate(venv)
		p.plan.App.Venv = venv
	}
	if p.Command[0] == "" {
		return errors.New("command begins with nothing: write the program and its arguments")
	}
	path := p.env.program(p.Command[0], p.Dir)
	if path == "" {
		return p.noProgram()
	}
	p.plan.Command, p.plan.Path, p.plan.Args = true, path, p.filled(p.Command[1:])
	p.env["HEADGATE_SOCKET"], p.env["HEADGATE_FD"] = p.Socket, strconv.Itoa(p.FD)
	name, from := program(p.Command)
	switch {
	case isUWSGI(name):
		p.commandUWSGI(from)
	case name == "gunicorn":
		err = p.commandGunicorn(ctx, from)
	case p.FD == listenFD:
		p.plan.Path, p.plan.Args, _ = activated(p.env, path, p.plan.Args)
	}
	p.plan.Args = append(p.plan.Args, p.Flags...)
	p.plan.Env = p.env.list()
	return err
}

func (p *planner) noProgram() error {
	name := p.Command[0]
	if strings.Contains(name, "/") {
		return fmt.Errorf("command %s is not there, or cannot be run: write the path of a program", absolute(p.Dir, name))
	}
	if slices.Contains([]string{"export", "cd", "source", ".", "exec"}, name) || strings.ContainsAny(name, " ;|&") {
		return fmt.Errorf("command %q is for a shell, and none reads it: write sh -c before it, as arguments of their own, or the program and its arguments", name)
	}
	hint := ""
	if strings.Contains(name, ":") || isModule(p.Dir, name) || strings.HasSuffix(name, ".py") {
		hint = "write it as app, or "
	}
	return fmt.Errorf("command %s is not in PATH (%s): %swrite the path of a program", name, p.env["PATH"], hint)
}

// filled replaces {socket} and {fd}.
func (p *planner) filled(args []string) []string {
	filled := make([]string, len(args))
	r := strings.NewReplacer("{socket}", p.Socket, "{fd}", strconv.Itoa(p.FD))
	for i, arg := range args {
		filled[i] = r.Replace(arg)
	}
	return filled
}

// program is the name of what a command runs in the end, and where its own arguments
// begin: uv run gunicorn ... is gunicorn.
func program(command []string) (name string, from int) {
	i := 0
	for i < len(command) {
		name = filepath.Base(command[i])
		next := ""
		if i+1 < len(command) {
			next = command[i+1]
		}
		switch {
		case name == "env", strings.Contains(name, "=") && i > 0:
			i++
		case (name == "uv" || name == "poetry" || name == "pipenv") && next == "run":
			i += 2
		case strings.HasPrefix(name, "python") && next == "-m" && i+2 < len(command):
			return command[i+2], i + 3
		default:
			return name, i + 1
		}
	}
	return name, i
}

func isUWSGI(name string) bool {
	return name == "uwsgi" || name == "uwsgi-core" || name == "pyuwsgi" || strings.HasPrefix(name, "uwsgi_python")
}

// uwsgiSockets are the options of uWSGI by which it listens for itself.
var uwsgiSockets = []string{"-s", "--socket", "--uwsgi-socket", "--http-socket", "--http11-socket", "--fastcgi-socket", "--scgi-socket", "--raw-socket", "--suwsgi-socket"}

// commandUWSGI gives a uWSGI command our socket, if it names none, and a way to stop it.
func (p *planner) commandUWSGI(from int) {
	own, args := p.Command[from:], p.plan.Args
	named := false
	for i := range args {
		flag, value, inline := strings.Cut(args[i], "=")
		if i < from-1 || !slices.Contains(uwsgiSockets, flag) {
			continue
		}
		named = true
		switch { // its path would be bound once more
		case inline && value == p.Socket:
			args[i] = flag + "=" + p.uwsgiSocket()
		case !inline && i+1 < len(args) && args[i+1] == p.Socket:
			args[i+1] = p.uwsgiSocket()
		}
	}
	p.plan.Server, p.plan.Dialect = UWSGI, "uwsgi"
	if !named && p.HTTP {
		args = append(args, "--http-socket", p.uwsgiSocket())
	} else if !named {
		args = append(args, "--socket", p.uwsgiSocket(), "--buffer-size", "65535")
		p.chose("added the socket to the arguments of uWSGI")
	}
	if p.HTTP {
		p.plan.Dialect = ""
	}
	args = append(args, "--die-on-term", "--no-orphans") // see runUWSGI
	if p.Fifo != "" && !hasFlag(own, "--master-fifo") {
		p.plan.Fifo = p.Fifo
		args = append(args, "--master-fifo", p.Fifo)
	}
	p.plan.Args = args
}

// commandGunicorn gives a gunicorn command our socket, and the protocol, if it names
// none.
func (p *planner) commandGunicorn(ctx context.Context, from int) error {
	own := p.Command[from:]
	p.plan.Server, p.plan.Dialect = Gunicorn, "gunicorn"
	if p.HTTP {
		p.plan.Dialect = ""
	}
	if hasFlag(own, "-b", "--bind") {
		return nil
	}
	if !p.HTTP && !hasFlag(own, "--protocol") {
		if _, err := p.askGunicorn(ctx, p.plan.Path, p.plan.Args[:from-1]...); err != nil {
			return fmt.Errorf("command %s: %w: put a newer one there, or set protocol: http", strings.Join(p.Command[:from], " "), err)
		}
		p.plan.Args = append(p.plan.Args, "--protocol", "uwsgi")
	}
	if !hasFlag(own, "--backlog") {
		p.plan.Args = append(p.plan.Args, "--backlog", strconv.Itoa(backlog))
	}
	p.plan.Path, p.plan.Args = p.bindGunicorn(p.plan.Path, p.plan.Args)
	p.chose("added the socket to the arguments of gunicorn")
	return nil
}

// hasFlag reports whether arguments have one of these flags; one of a single letter
// may have its value behind it.
func hasFlag(args []string, flags ...string) bool {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		for _, flag := range flags {
			if name == flag || len(flag) == 2 && strings.HasPrefix(arg, flag) {
				return true
			}
		}
	}
	return false
}
