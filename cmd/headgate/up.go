package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// upFlags are the command line of headgate up.
type upFlags struct {
	app     string   // "." is what is found; "": there is a command
	command []string // in place of an app

	http, https, host []string
	tls               string
	metrics, socket   string

	chdir, server, venv, processes, user string
	storage                              string
	env                                  []string
	threads, maxRequests                 int
	idle                                 time.Duration
	protocol                             string
	noWatch, noStatic                    bool
}

func newUp() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up [APP | -- COMMAND...]",
		Short: "Start a Python app and serve it over HTTPS, with nothing to configure",
		Long: `Start workers for a Python app and the gateway in front of them. There is nothing to
configure: https://localhost:8443/ opens over HTTP/1.1, HTTP/2 and HTTP/3, and plain
http://localhost:8080/ leads there. When a file of the app changes, new workers start
with it. Ctrl-C ends everything.

APP is a module and the WSGI app in it (shop.wsgi:application), a file (app.py), a call
of a factory ('shop:create_app()') or a directory. Without APP it is looked for in the
current directory, or in --chdir: Django's manage.py, pyproject.toml, FLASK_APP, app.py
and the like. What is chosen is printed, and so is the virtual environment: .venv, venv
or env beside the app, or the active one.

The app is run by uWSGI if that is installed, by gunicorn 25.2 or newer if that is, and
otherwise by a server that headgate carries with it, which needs nothing but Python 3.8.
Folders of static files that Django (STATIC_ROOT) and Flask (static/) name are served by
the gateway; with DEBUG Django finds its files itself, as in runserver.

The first line on stdout is the address; all other talk, the lines of the app and one
for each request are on stderr. The certificate is made by a local authority, which
browsers trust after headgate trust. Only this machine reaches the addresses unless
--http or --https say otherwise. An app that cannot be imported shows its traceback as a
page, to this machine only, until it is mended (with --no-watch: exit code 1).

A COMMAND after -- is started in place of an app. It finds its socket as {fd} or
{socket} in its own words, and as HEADGATE_FD and HEADGATE_SOCKET in its environment;
uwsgi and gunicorn get their flags by themselves. When it ends, so does headgate, with
its exit code (128 and the number of the signal that killed it). HUP, USR1, USR2 and
WINCH are passed on to it; TERM and Ctrl-C let requests finish, and then end it.

As the first process of a container (PID 1) headgate up listens to the world, without
TLS, on port 8080, unless --http or --https say otherwise, and buries the processes that
others have left. Where something else is PID 1 (docker run --init) write --http :8080.`,
		Example: `  headgate up                                          # finds the app here
  headgate up shop.wsgi:application                    # Django
  headgate up app.py                                   # Flask: app in app.py
  headgate up 'shop:create_app()' --env FLASK_DEBUG=1  # a factory
  headgate up --host shop.localhost --processes 4 --threads 8 shop.wsgi

  headgate up -- uwsgi --ini uwsgi.ini
  headgate up -- uvicorn --fd {fd} shop.asgi:application
  headgate up -- gunicorn shop.wsgi

  # in a Dockerfile; the app is at port 8080
  ENTRYPOINT ["headgate", "up", "--no-watch", "shop.wsgi:application"]
  ENTRYPOINT ["headgate", "up", "--", "uwsgi", "--ini", "/srv/uwsgi.ini"]`,
	}
	f := addUpFlags(cmd)
	cmd.Args = f.arguments
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if strings.Contains(err.Error(), "unknown") && cmd.ArgsLenAtDash() < 0 {
			return usageError{hintError{withFlagHint(cmd, err), "the flags of a command come after --, as in headgate up -- uwsgi --ini uwsgi.ini; headgate help up shows those of headgate"}}
		}
		return usageError{withFlagHint(cmd, err)}
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return cmd
}

func addUpFlags(cmd *cobra.Command) *upFlags {
	f := &upFlags{}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.http, "http", nil, "plain `ADDR` to listen on (default: port 8080 of this machine, or the next free one; as PID 1 :8080)")
	fs.StringArrayVar(&f.https, "https", nil, "TLS `ADDR` to listen on, HTTP/3 included (default: port 8443 of this machine, or the next free one; as PID 1 none)")
	fs.StringArrayVar(&f.host, "host", nil, "host `NAME` to answer to; may be repeated (default: every host)")
	fs.StringVar(&f.tls, "tls", "auto", "who makes certificates: auto (ACME for public names that the world may reach, the local authority for others), internal or none")
	fs.StringVar(&f.chdir, "chdir", "", "`DIR` of the app (default: the current one)")
	fs.StringVar(&f.processes, "processes", "", "`N` processes, or auto: two for each processor (default: auto; while files are watched 4 at most)")
	fs.IntVar(&f.threads, "threads", 1, "`N` threads of each process")
	fs.StringVar(&f.server, "server", "auto", "what runs the app: auto, uwsgi, gunicorn or builtin")
	fs.BoolVar(&f.noWatch, "no-watch", false, "do not start new workers when files change; exit when the app does not start")
	fs.StringVar(&f.venv, "venv", "", "virtual environment in `DIR`; off: none (default: .venv, venv or env beside the app, or the active one)")
	fs.StringArrayVar(&f.env, "env", nil, "`NAME=VALUE` for the app's environment; may be repeated")
	fs.StringVar(&f.user, "user", "", "`USER` or USER:GROUP as whom the app runs, when headgate is root")
	fs.BoolVar(&f.noStatic, "no-static", false, "leave static files to the app")
	fs.DurationVar(&f.idle, "idle", 0, "stop the workers after so `LONG` without a request; the next one starts them")
	fs.IntVar(&f.maxRequests, "max-requests", 0, "replace a process after `N` requests")
	fs.StringVar(&f.protocol, "protocol", "", "what a COMMAND speaks: uwsgi, http or h2c (default: uwsgi; http of uvicorn, hypercorn, daphne and granian)")
	fs.StringVar(&f.storage, "storage", "", "`URL` where certificates and the local authority are kept, such as file:/var/lib/headgate (default: that of headgate run)")
	fs.StringVar(&f.metrics, "metrics", "", "`ADDR` that serves Prometheus metrics")
	fs.StringVar(&f.socket, "socket", "", "admin `SOCKET` (default: that of headgate run, unless another gateway has it)")
	for name, words := range map[string][]string{
		"tls": {"auto", "internal", "none"}, "server": {"auto", "uwsgi", "gunicorn", "builtin"}, "protocol": {"uwsgi", "http", "h2c"},
	} {
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // there is such a flag
		}
	}
	return f
}

// arguments takes what is not a flag: an app, or after -- a command.
func (f *upFlags) arguments(cmd *cobra.Command, args []string) error {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash == 0 && len(args) == 0:
		return usageError{hintError{errors.New("there is no command after --"), "write it like headgate up -- uwsgi --ini uwsgi.ini"}}
	case dash == 0:
		f.command = args
		return f.onlyForApps(cmd)
	case dash > 0:
		return usageError{hintError{fmt.Errorf("up takes an app or a command, not both: %q and %q", args[0], strings.Join(args[dash:], " ")), "leave one of them out"}}
	case len(args) > 1:
		return usageError{hintError{fmt.Errorf("up takes one app, got %q", args), severalHint(args)}}
	case len(args) == 1 && isServer(args[0]):
		return usageError{hintError{fmt.Errorf("%s is a server, and no app", args[0]), "name the app, and a server is found: headgate up; or write the whole command: headgate up -- " + args[0] + " ..."}}
	case len(args) == 0:
		f.app = "."
	default:
		f.app = args[0]
	}
	if f.protocol != "" {
		return usageError{errors.New("--protocol is for a COMMAND: the servers of apps speak uwsgi")}
	}
	return f.directory()
}

// onlyForApps refuses flags that a command has no use for.
func (f *upFlags) onlyForApps(cmd *cobra.Command) error {
	for _, name := range []string{"processes", "threads", "server", "venv", "max-requests", "no-static"} {
		if cmd.Flags().Changed(name) {
			return usageError{hintError{fmt.Errorf("--%s is for apps, and a command says that itself", name), "write it among the command's own flags"}}
		}
	}
	return f.directory()
}

// directory checks --chdir, and takes an app that is a directory for it.
func (f *upFlags) directory() error {
	if f.chdir == "" {
		if info, err := os.Stat(f.app); err == nil && info.IsDir() {
			f.chdir, f.app = f.app, "."
		}
	}
	info, err := os.Stat(filepath.Join(f.chdir, "."))
	switch {
	case err != nil:
		return usageError{fmt.Errorf("--chdir: %w", err)}
	case !info.IsDir():
		return usageError{fmt.Errorf("--chdir: %s is not a directory", f.chdir)}
	}
	f.chdir, err = filepath.Abs(f.chdir)
	return err
}

// The exit codes of a shell for commands that cannot be started.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// findCommand says early that there is no such command, as a shell does.
func (f *upFlags) findCommand() error {
	path := f.command[0]
	if strings.ContainsRune(path, os.PathSeparator) && !filepath.IsAbs(path) {
		path = filepath.Join(f.chdir, path)
	}
	_, err := exec.LookPath(path)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return exitError{exitNotExecutable, fmt.Errorf("%s cannot be executed: %w", f.command[0], err)}
	}
	return exitError{exitNotFound, fmt.Errorf("there is no command %s", f.command[0])}
}

// speaksHTTP reports whether a command is a server that is known to speak HTTP.
func speaksHTTP(command []string) bool {
	name := filepath.Base(command[0])
	if strings.HasPrefix(name, "python") && len(command) > 2 && command[1] == "-m" {
		name = command[2]
	}
	return slices.Contains([]string{"uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "waitress"}, name)
}

// severalHint is what may have been meant with more than one word.
func severalHint(args []string) string {
	if strings.HasSuffix(args[0], ".py") {
		return "name the app alone: headgate up " + args[0] + "; what a command of its own would start, such as runserver, is not needed"
	}
	return "write -- before a command: headgate up -- " + strings.Join(args, " ")
}

// isServer reports whether a word is the name of a server, and of no module here.
func isServer(word string) bool {
	if !slices.Contains([]string{"uwsgi", "gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "flask"}, word) {
		return false
	}
	for _, path := range []string{word, word + ".py"} {
		if _, err := os.Stat(path); err == nil {
			return false
		}
	}
	return true
}
