package acme

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

const (
	commandTime   = 2 * time.Minute // for one run
	commandOutput = 2 << 10         // bytes kept from the end of what it writes
	commandWait   = time.Second     // for output after its end
)

// command has a program of the operator set and remove records. It implements
// libdns. It is immutable and safe for concurrent use; the program may run
// several times at once.
type command struct {
	args  []string
	limit time.Duration
}

func newCommand(args []string) (*command, error) {
	if _, err := exec.LookPath(args[0]); err != nil {
		return nil, fmt.Errorf("command: %w: give the path of a program that may be run", err)
	}
	return &command{args: args, limit: commandTime}, nil
}

// AppendRecords implements libdns.RecordAppender.
func (c *command) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return c.each(ctx, "present", zone, recs)
}

// DeleteRecords implements libdns.RecordDeleter.
func (c *command) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return c.each(ctx, "cleanup", zone, recs)
}

func (c *command) each(ctx context.Context, action, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	for i, rec := range recs {
		rr := rec.RR()
		if err := c.run(ctx, action, dns.CanonicalName(libdns.AbsoluteName(rr.Name, zone)), rr.Data); err != nil {
			return recs[:i], err
		}
	}
	return recs, nil
}

// run runs the program once, in a process group of its own: when time is over, or
// ctx ends, all that it has started ends with it.
func (c *command) run(ctx context.Context, action, name, value string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("it was ended after %v", c.limit))
	defer cancel()
	words := append(c.args[1:len(c.args):len(c.args)], action, name, value)
	cmd := exec.CommandContext(ctx, c.args[0], words...)
	cmd.Env = append(os.Environ(), "HEADGATE_ACTION="+action, "HEADGATE_RECORD="+name, "HEADGATE_VALUE="+value)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = commandWait
	out := &tail{max: commandOutput}
	cmd.Stdout, cmd.Stderr = out, out

	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // it ended well; something that it left behind holds its output
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	said := "it wrote nothing"
	if text := plainText(out.bytes); text != "" {
		said = "it wrote: " + text
	}
	return fmt.Errorf("command %s %s %s: %w; %s", c.args[0], action, name, err, said)
}

// killGroup ends a process and those that it has started.
func killGroup(p *os.Process) error {
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// tail is an io.Writer that keeps the end of what is written.
type tail struct {
	max   int
	bytes []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p[max(0, len(p)-t.max):]...)
	t.bytes = t.bytes[max(0, len(t.bytes)-t.max):]
	return len(p), nil
}

// plainText makes what others wrote fit for an error: bounded, printable, on one line.
func plainText(b []byte) string {
	return printable(string(b[max(0, len(b)-commandOutput):]))
}

// printable puts s on one line, without what moves a terminal's cursor or turns the
// direction of writing.
func printable(s string) string {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.Join(strings.Fields(clean), " ")
}
