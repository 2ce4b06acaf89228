package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// looker runs programs to see what they say.
type looker struct {
	dir  string
	user *User
}

// Bounds of what a program may say and how long it may take to say it.
const (
	mostSaid  = 64 << 10
	lookLimit = 20 * time.Second // of programs that do not run the app
	lastWords = time.Second      // for the output of those that are killed
)

// said is what a program has said.
type said struct {
	out  string // the end of stdout
	err  string // the end of stderr
	fd3  []byte // what it wrote to descriptor 3
	fail error  // why it did not end with status 0
}

// run runs a program until it ends, or ctx does; then its whole group is killed.
func (l looker) run(ctx context.Context, env environment, path string, args ...string) said {
	r, w, err := os.Pipe()
	if err != nil {
		return said{fail: err}
	}
	defer r.Close()
	out, errs := &tail{most: mostSaid}, &tail{most: mostSaid}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = l.dir, l.as(env), out, errs, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if l.user != nil && os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: l.user.UID, Gid: l.user.GID, Groups: l.user.Groups}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lastWords
	if err = cmd.Start(); err != nil {
		w.Close()
		return said{fail: err}
	}
	w.Close()
	answer := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, mostAnswer)) // what is cut is no JSON
		answer <- b
	}()
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it has started; mostly there is nobody
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended, and left somebody behind
	}
	_ = r.SetReadDeadline(time.Now().Add(lastWords))
	return said{out: out.String(), err: errs.String(), fd3: <-answer, fail: err}
}

// mostAnswer bounds what is read of descriptor 3.
const mostAnswer = 1 << 20

// ask runs a program that has to answer soon.
func (l looker) ask(ctx context.Context, env environment, path string, args ...string) said {
	ctx, cancel := context.WithTimeoutCause(ctx, lookLimit, fmt.Errorf("%s has not answered within %v", path, lookLimit))
	defer cancel()
	return l.run(ctx, env, path, args...)
}

// as returns the environment, with the home of who runs the program.
func (l looker) as(env environment) []string {
	list := env.list()
	if l.user != nil {
		list = append(list, "HOME="+l.user.Home, "USER="+l.user.Name, "LOGNAME="+l.user.Name)
	}
	return list
}

// tail keeps the end of what is written.
type tail struct {
	most int
	b    bytes.Buffer
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > t.most {
		p = p[len(p)-t.most:]
	}
	if over := t.b.Len() + len(p) - t.most; over > 0 {
		t.b.Next(over)
	}
	t.b.Write(p)
	return n, nil
}

func (t *tail) String() string { return t.b.String() }
