package pebbletest

import (
	"os"
	"os/exec"
	"sync"
	"testing"
)

const maxOutput = 64 << 10

// process is a program that runs until stop or the end of the test.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu  sync.Mutex // guards out
	out []byte     // the end of what it wrote
}

// run starts a program with more variables in its environment. When the test
// fails, its last output is logged.
func run(t testing.TB, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	dieWithUs(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("last words of %s:\n%s", name, p.output())
		}
	})
	return p
}

// stop kills the program and returns when it has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Write implements io.Writer for the program's output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b...)
	if over := len(p.out) - maxOutput; over > 0 {
		p.out = append(p.out[:0], p.out[over:]...)
	}
	return len(b), nil
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.out)
}
