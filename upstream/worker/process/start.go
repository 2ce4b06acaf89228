package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Start starts a process. It ends with the gateway, however that ends; see the
// package. Its errors say what is in the way, and what helps. Until Done is closed it
// has three goroutines and keeps one thread.
func Start(s Spec) (*Process, error) {
	cmd, err := s.command()
	if err != nil {
		return nil, err
	}
	out, err := newOutput(s.Line)
	if err != nil {
		return nil, fmt.Errorf("pipes for the output of %s: %w", s.Path, err)
	}
	cmd.Stdout, cmd.Stderr = out.streams[0].write, out.streams[1].write
	p := &Process{path: cmd.Path, out: out, ended: make(chan struct{}), done: make(chan struct{})}
	begun := make(chan error)
	go p.launch(cmd, begun)
	if err := <-begun; err != nil {
		out.abandon()
		return nil, explain(s, cmd.Path, err)
	}
	return p, nil
}

// launch starts the process and lives with it. The kernel takes the end of the thread
// that has forked for the end of the parent (PR_SET_PDEATHSIG), so this goroutine
// keeps the thread until the process has ended; waiting needs one anyway.
func (p *Process) launch(cmd *exec.Cmd, begun chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dropCapabilities()
	if err := cmd.Start(); err != nil {
		begun <- err
		return
	}
	p.proc = cmd.Process
	if m, err := OpenMemory(0); err == nil { // it was born where we are
		p.memory, p.kills = m, m.first
	}
	p.out.begin()
	begun <- nil
	p.live()
}

// command is the process for os/exec.
func (s Spec) command() (*exec.Cmd, error) {
	path, err := s.lookUp()
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(attr)
	env := slices.Clone(s.Env)
	if u := s.User; u != nil {
		attr.Credential = u.credential()
		env = append(env, "HOME="+u.Home, "USER="+u.Name, "LOGNAME="+u.Name)
	}
	if env == nil {
		env = []string{} // nil would be ours
	}
	return &exec.Cmd{
		Path: path, Args: append([]string{s.Path}, s.Args...), Dir: s.Dir, Env: env,
		ExtraFiles: s.FDs, SysProcAttr: attr,
	}, nil
}

// lookUp finds the program in PATH, as a shell does.
func (s Spec) lookUp() (string, error) {
	if s.Path == "" {
		return "", fmt.Errorf("no program to start: name one")
	}
	if strings.Contains(s.Path, "/") {
		return s.Path, nil
	}
	var path string
	for _, v := range s.Env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			path = p
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // the working directory is no place for programs
		}
		file := filepath.Join(dir, s.Path)
		if i, err := os.Stat(file); err == nil && i.Mode().IsRegular() && i.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", &startError{os.ErrNotExist, fmt.Sprintf("%s is in no directory of PATH (%s): install it, or write its whole path", s.Path, path)}
}

// startError says why a process could not be started.
type startError struct {
	err  error
	text string
}

// Error implements error.
func (e *startError) Error() string { return e.text }

// Unwrap returns what the kernel said.
func (e *startError) Unwrap() error { return e.err }
