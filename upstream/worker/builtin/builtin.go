package builtin

import (
	_ "embed"
	"fmt"
	"strconv"
	"time"
)

//go:embed server.py
var script []byte

// The statuses with which the server ends by itself. After SIGTERM, SIGINT and SIGQUIT
// it is 0.
const (
	StatusImport    = 3 // no worker can import the app; the traceback is on stderr, once
	StatusArguments = 4 // an option, or the descriptor of the socket, is of no use
)

// Script returns the server's source. The caller must not change it.
func Script() []byte { return script }

// Options say what the server runs. App and FD are required.
type Options struct {
	App   string // module:callable, module (application, or app, in it) or module:factory()
	FD    int    // descriptor of a socket that listens
	Wrap  string // module:callable that is called with the app and returns what is run; "": none
	Chdir string // its working directory, and the first place to import from; "": the current one

	Processes   int           // how many serve; 0: 1. SIGTTIN and SIGTTOU change it
	Threads     int           // of each process, one request in each; 0: 1, which is then the main thread
	MaxRequests int           // a process is replaced after about so many; 0: never
	MaxRSS      int64         // a process is replaced when it has more memory, in bytes; 0: never
	Stop        time.Duration // for requests that run when it is told to end; 0: 30s
	Debug       bool          // a line for each client that goes away
}

// boot runs the script that is on a descriptor, which may be a file without a name. Its
// first words are what ps shows. The source goes into linecache, for tracebacks.
const boot = `"headgate-builtin"; import linecache,os,sys; n="headgate-builtin/server.py"; f=%d; ` +
	`s=os.pread(f,os.fstat(f).st_size,0).decode(); os.close(f); ` +
	`linecache.cache[n]=(len(s),None,s.splitlines(True),n); ` +
	`exec(compile(s,n,"exec"),{"__name__":"__main__","__file__":n})`

// Command returns the arguments of an interpreter, Python 3.8 or newer, that make it the
// server, whose Script is on a descriptor of the new process. The server closes that.
func Command(script int, o Options) []string {
	args := []string{
		"-c", fmt.Sprintf(boot, script),
		"--app", o.App, "--fd", strconv.Itoa(o.FD),
		"--processes", strconv.Itoa(max(o.Processes, 1)), "--threads", strconv.Itoa(max(o.Threads, 1)),
	}
	if o.Wrap != "" {
		args = append(args, "--wrap", o.Wrap)
	}
	if o.Chdir != "" {
		args = append(args, "--chdir", o.Chdir)
	}
	if o.MaxRequests > 0 {
		args = append(args, "--max-requests", strconv.Itoa(o.MaxRequests))
	}
	if o.MaxRSS > 0 {
		args = append(args, "--max-rss", strconv.FormatInt(o.MaxRSS, 10))
	}
	if o.Stop > 0 {
		args = append(args, "--stop", strconv.FormatFloat(o.Stop.Seconds(), 'f', -1, 64))
	}
	if o.Debug {
		args = append(args, "--debug")
	}
	return args
}
