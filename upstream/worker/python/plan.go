package python

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Request is what is known of the workers that are wanted. Exactly one of App,
// Command and Ini is said.
type Request struct {
	App     string   // as worker.Options has it; "." is what is found
	Command []string // with {socket} and {fd}
	Ini     string   // of uWSGI

	Dir    string            // of the app; "": the current one
	Server Server            // wanted; Auto chooses
	Venv   string            // "": found; "off": none
	Env    map[string]string // more variables
	Flags  []string          // more arguments of the server

	Processes, Threads int
	Min                int   // of processes, if below Processes their number may change
	Most               int   // of processes
	MaxRequests        int   // of a process; 0: no limit
	MaxRSS             int64 // of a process, in bytes; 0: no limit

	Socket string        // path of the socket, which is bound and listens
	FD     int           // its descriptor in the process that is started
	Fifo   string        // path where uWSGI may make its master FIFO
	Stats  string        // path where uWSGI may make the socket of its statistics
	Script int           // descriptor of Plan.Script, should there be one
	HTTP   bool          // a Command is to speak HTTP, not uwsgi
	Stop   time.Duration // how long a graceful end may take

	// User is who the programs run as that look at the app, whose code they run; nil: as
	// we are. It is to be who the workers run as.
	User *User
}

// User is who programs run as.
type User struct {
	UID, GID uint32
	Groups   []uint32
	Name     string
	Home     string
}

// Plan is how to start the workers. It is complete: nothing of the gateway's
// environment but what Env has.
type Plan struct {
	Server  Server
	Command bool   // a command of the user's own: what it is, nobody knows
	Path    string // of the program
	Args    []string
	Env     []string
	Dir     string
	Script  []byte // for the descriptor Request.Script, as a file; nil: none

	Dialect string // "uwsgi" or "gunicorn"; "": not known
	Slots   int    // requests at once; 0: not known
	Fifo    string // uWSGI's master FIFO; "": there is none
	Stats   string // uWSGI's statistics; "": there are none
	Scales  bool   // TTIN and TTOU (builtin, gunicorn) or + and - in Fifo change the number of processes

	App   App      // that was found; zero for a command and an ini
	Chose []string // what was found and chosen and why, a sentence each, for people
}

// App is a WSGI app that was found.
type App struct {
	Target    string   // what servers are told: module:callable
	Dir       string   // it is imported from
	Python    string   // its interpreter
	Version   string   // of that: 3.11.2
	Venv      string   // "": none
	Framework string   // "Django 3.2.19", "Flask 2.2.2", or ""
	Static    []Static // that the edge can serve

	// Wrap is module:callable that is called with the app, and returns it with static
	// files: Django's own, with DEBUG, as its development server does. "": none.
	Wrap string
}

// Static is a directory of files that the app would serve.
type Static struct {
	URL string // with slashes at both ends: /static/
	Dir string
}

// NewPlan decides how the workers of r are started: it finds the app, its Python and
// the server. It runs programs for that, until ctx ends at most; one of them imports
// the app, as r.User. Its error says what to do; of an app that cannot be imported it
// has the end of the traceback. It is safe for concurrent use.
func NewPlan(ctx context.Context, r Request) (*Plan, error) {
	p, err := newPlanner(r)
	if err != nil {
		return nil, err
	}
	switch said := boolInt(r.App != "") + boolInt(len(r.Command) > 0) + boolInt(r.Ini != ""); {
	case said != 1:
		return nil, errors.New("workers have no app, or more than one thing to run: write one of app, command and ini")
	case len(r.Command) > 0:
		err = p.ownCommand(ctx)
	case r.Ini != "":
		err = p.iniFile(ctx)
	default:
		err = p.anApp(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		return nil, err
	}
	return &p.plan, nil
}
