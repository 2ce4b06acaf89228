package worker

import (
	"encoding"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"headgate/gateway/notation"
	"headgate/upstream/worker/python"
)

// Options say which processes serve a pool. Exactly one of App, Command and Ini is
// said. Of what is not said WithDefaults has the value.
type Options struct {
	// The WSGI app: a module and its callable (shop.wsgi:application), a file
	// (app.py, app.py:create_app()), or "." for what is found in chdir.
	App string `yaml:"app"`

	// A command in place of an app, which is given a socket: {socket} and {fd} in it
	// stand for the path and the number of its descriptor; HEADGATE_SOCKET,
	// HEADGATE_FD, LISTEN_FDS and LISTEN_PID say the same. uwsgi and gunicorn get the
	// right flags if they have none. New workers start while the old ones still run:
	// a command that cannot run twice, since it has a port of its own, is not replaced.
	Command []string `yaml:"command"`

	Ini string `yaml:"ini"` // uWSGI configuration in place of an app, which the uwsgi command runs as it is

	Chdir  string        `yaml:"chdir"`  // directory of the app; that of the gateway by default
	Server python.Server `yaml:"server"` // auto (default): uwsgi if it is there and fits the app's Python, else gunicorn 25.2 or newer, else builtin
	Venv   string        `yaml:"venv"`   // virtual environment; the one in chdir (.venv, venv, env), or else $VIRTUAL_ENV, by default; off: none
	Env    Env           `yaml:"env"`    // more variables of the environment
	User   string        `yaml:"user"`   // user, or user:group, as whom the workers run, when the gateway is root

	Processes Count `yaml:"processes"` // auto (default): two for each processor that the gateway may use, or a number
	Threads   int   `yaml:"threads"`   // of each process; 1 by default

	Min int `yaml:"min"` // processes while there is little to do; with max
	Max int `yaml:"max"` // processes when all are busy; with it processes is where to begin

	// After so long without a request the workers are stopped; the next request
	// starts them and waits, and so does the first one, unless files are watched. Off
	// by default.
	Idle time.Duration `yaml:"idle"`

	// New workers when files of the app change. If those do not start, the old ones
	// are stopped too, and requests are told why.
	Watch bool `yaml:"watch"`

	MaxRequests int           `yaml:"max_requests"`  // a process is replaced after so many requests; never by default
	MaxRSS      notation.Size `yaml:"max_rss"`       // a process is replaced when it has more memory; never by default
	Start       time.Duration `yaml:"start_timeout"` // until new workers serve (60s)
	Stop        time.Duration `yaml:"stop_timeout"`  // for requests that old workers still run (30s), and for their end; then they are killed
	Flags       []string      `yaml:"flags"`         // more arguments of the server
}

// Env is variables of the environment, by name. Their values may be secrets.
type Env map[string]string

// LogValue implements slog.LogValuer.
func (e Env) LogValue() slog.Value { return slog.IntValue(len(e)) }

// Count is a number of processes; 0 is "auto".
type Count int

var (
	_ encoding.TextMarshaler   = Count(0)
	_ encoding.TextUnmarshaler = (*Count)(nil)
)

// MarshalText implements encoding.TextMarshaler.
func (c Count) MarshalText() ([]byte, error) {
	if c == 0 {
		return []byte("auto"), nil
	}
	return strconv.AppendInt(nil, int64(c), 10), nil
}

// UnmarshalText accepts "auto" or a positive number.
func (c *Count) UnmarshalText(b []byte) error {
	if string(b) == "auto" {
		*c = 0
		return nil
	}
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > MostProcesses {
		return fmt.Errorf("%q is not a number of processes: write auto, or a number from 1 to %d", b, MostProcesses)
	}
	*c = Count(n)
	return nil
}

// MostProcesses bounds the processes of a pool, and MostThreads the threads of each.
const (
	MostProcesses = 1024
	MostThreads   = 1024
)
