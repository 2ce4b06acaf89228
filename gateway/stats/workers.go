package stats

import "time"

// Workers are the processes that the gateway has started for a pool.
type Workers struct {
	State      string    `json:"state"`            // starting, ready, reloading, idle, crashed or stopped
	App        string    `json:"app"`              // as the configuration has it: an app, a command or a file of uWSGI
	Server     string    `json:"server,omitempty"` // uwsgi, gunicorn, builtin or command
	About      string    `json:"about,omitempty"`  // what was found: "Django 3.2.19, Python 3.11.2"
	Processes  int       `json:"processes"`        // that are wanted
	Threads    int       `json:"threads"`          // of each
	Generation int       `json:"generation"`       // how often they were started anew
	Restarts   uint64    `json:"restarts"`         // after they had ended by themselves
	Reloads    uint64    `json:"reloads"`          // replacements that went well
	Requests   uint64    `json:"requests"`         // of the pool
	Since      time.Time `json:"since"`            // of State
	RetryAt    time.Time `json:"retry_at,omitzero"`
	Error      string    `json:"error,omitempty"` // why the last start or reload came to nothing
	Tail       []string  `json:"tail,omitempty"`  // the last lines that it wrote
	List       []Worker  `json:"list,omitempty"`
}

// RSS is the memory of all of them, in bytes.
func (w Workers) RSS() (n int64) {
	for _, p := range w.List {
		n += p.RSS
	}
	return n
}

// Worker is one process.
type Worker struct {
	PID        int       `json:"pid"`
	Leader     bool      `json:"leader,omitempty"` // the others are its children
	Generation int       `json:"generation"`
	RSS        int64     `json:"rss_bytes"`
	Since      time.Time `json:"since"`
	Leaving    bool      `json:"leaving,omitempty"` // replaced, with requests under way
}

// App is one file of the folder of apps.
type App struct {
	File  string    `json:"file"`
	Name  string    `json:"name"` // of its pool
	Hosts []string  `json:"hosts,omitempty"`
	State string    `json:"state"`           // ok, kept or broken
	Error string    `json:"error,omitempty"` // of what the file says now; may have many lines
	Since time.Time `json:"since"`           // of the last change of the file
}

// The states of an App.
const (
	AppOK     = "ok"
	AppKept   = "kept" // its file is broken now, and it goes on as it was
	AppBroken = "broken"
)

// Subscriptions are what uWSGI instances have announced.
type Subscriptions struct {
	Listen   []string          `json:"listen,omitempty"` // where, with the ports that were got
	Nodes    []Node            `json:"nodes,omitempty"`
	Counters map[string]uint64 `json:"counters,omitempty"` // packets by what became of them: accepted, unsubscribed, malformed, not_allowed, bad_signature, replayed, full, expired, dropped
}

// Node is a member that was announced.
type Node struct {
	Key     string    `json:"key"`
	Address string    `json:"address"`
	From    string    `json:"from"`
	Weight  int       `json:"weight"`
	Cores   int       `json:"cores"`
	Backup  bool      `json:"backup,omitempty"`
	Signed  bool      `json:"signed,omitempty"`
	Ready   bool      `json:"ready"`           // its probe has passed
	Error   string    `json:"error,omitempty"` // of its probe
	Since   time.Time `json:"since"`
	Last    time.Time `json:"last"` // announcement
}
