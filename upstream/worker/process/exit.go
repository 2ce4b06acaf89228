package process

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// judgeLocked says how the process has ended. p.mu is held.
func (p *Process) judgeLocked(state *os.ProcessState, err error) Exit {
	if err != nil {
		return Exit{Code: -1, Cause: "ended, and how is not known: " + err.Error()}
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return Exit{Code: state.ExitCode(), Cause: state.String()}
	}
	kills := p.memory.Kills()
	starved := kills > p.kills
	if !status.Signaled() {
		e := Exit{Code: status.ExitStatus()}
		e.OOM = starved && e.Code == 128+int(syscall.SIGKILL) // a shell whose command was killed
		e.Cause = fmt.Sprintf("exited with status %d", e.Code) + p.meaning(e)
		return e
	}
	e := Exit{Code: -1, Signal: status.Signal()}
	asked := p.sent == e.Signal
	e.OOM = starved && !asked && e.Signal == syscall.SIGKILL
	e.Cause = "was killed by " + SignalName(e.Signal) + p.why(e, asked)
	return e
}

// why adds to a signal what people want to know of it.
func (p *Process) why(e Exit, asked bool) string {
	switch {
	case asked:
		return ", which the gateway has sent"
	case e.OOM:
		return ": " + p.memory.blame()
	}
	switch e.Signal {
	case syscall.SIGKILL:
		if p.memory == nil {
			return ", which the gateway has not sent: out of memory, or somebody did it"
		}
		return ", which the gateway has not sent: somebody did it, and it was not out of memory"
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE:
		return ": a crash in native code, of an extension module or of the interpreter"
	case syscall.SIGABRT:
		return ": native code has given up, an extension module or the interpreter"
	case syscall.SIGSYS:
		return ": a call of the kernel that is not allowed (seccomp)"
	case syscall.SIGXCPU:
		return ": it has used the processor time that it may use (ulimit -t)"
	}
	return ""
}

// shells have statuses of their own.
var shells = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "busybox", "env", "nice", "nohup", "timeout", "setpriv"}

// meaning explains the statuses of shells.
func (p *Process) meaning(e Exit) string {
	if e.Code < 126 || !likeShell(p.path) {
		return ""
	}
	switch {
	case e.OOM:
		return ": its command was killed by SIGKILL: " + p.memory.blame()
	case e.Code == 126:
		return ": a command of it may not be executed"
	case e.Code == 127:
		return ": a command of it was not found"
	case e.Code > 128 && unix.SignalName(syscall.Signal(e.Code-128)) != "":
		return ": its command was killed by " + SignalName(syscall.Signal(e.Code-128))
	}
	return ""
}

// likeShell tells whether a program is a shell, or a script for one.
func likeShell(path string) bool {
	if slices.Contains(shells, filepath.Base(path)) {
		return true
	}
	interpreter, _ := shebang(path)
	return slices.Contains(shells, filepath.Base(interpreter))
}

// shebang returns the interpreter that the first line of a script names, and whether
// there is one.
func shebang(path string) (string, bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	head := make([]byte, 256) // the kernel reads no more
	n, err := io.ReadFull(f, head)
	if n == 0 && err != nil {
		return "", false
	}
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
	if !ok {
		return "", false
	}
	fields := strings.FieldsFunc(string(rest), func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) == 0 {
		return "", true
	}
	return fields[0], true
}

// SignalName returns the name of a signal, such as SIGKILL.
func SignalName(s os.Signal) string {
	n, ok := s.(syscall.Signal)
	if !ok {
		return fmt.Sprint(s)
	}
	return cmp.Or(unix.SignalName(n), fmt.Sprintf("signal %d", int(n)))
}
