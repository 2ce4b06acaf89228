package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"headgate/gateway/accesslog"
	"headgate/gateway/config"
	"headgate/gateway/stats"
	"headgate/tls/certs"
	"headgate/upstream/worker/python"
)

// up is a gateway with the app that it has started.
type up struct {
	flags     *upFlags
	addresses upListen
	out, talk io.Writer
	server    *server

	mu     sync.Mutex // guards the fields below
	loaded bool       // the configuration has been asked for
	static []python.Static
	broken error // why the app cannot be imported

	answered atomic.Bool // the workers have served
}

// run starts the app and the gateway and returns when both have ended.
func (f *upFlags) run(cmd *cobra.Command) error {
	addresses, _, err := f.listen()
	if err != nil {
		return err
	}
	if _, err := f.config(addresses, nil); err != nil { // before anything is looked for
		return err
	}
	u := &up{flags: f, out: cmd.OutOrStdout(), talk: cmd.ErrOrStderr()}
	s := &server{source: "flags of headgate up", shyOfSocket: f.socket == "", requests: os.Stderr, ready: u.announce, logger: u.logger, hangUpEnds: u.flags.command == nil && accesslog.Terminal(os.Stderr)}
	u.server = s
	if f.command != nil {
		if err := f.findCommand(); err != nil {
			return err
		}
		s.passOn, s.commandEnded = upPool, u.ended
	} else if err := u.find(cmd.Context(), true); err != nil {
		return err
	}
	var notes []string
	if u.addresses, notes, err = f.listen(); err != nil { // again: that took its time, and ports may be taken now
		return err
	}
	for _, note := range notes {
		u.say("%s", note)
	}
	return withFlags(s.serve(cmd.Context(), u.load))
}

// withFlags says which flags are the keys that an error of the start names.
func withFlags(err error) error {
	if err == nil {
		return nil
	}
	for _, one := range []struct{ part, hint string }{
		{"tls: storage: ", "as a flag: --storage file:DIRECTORY"},
		{"admin.socket", "as a flag: --socket PATH"},
	} {
		if strings.Contains(err.Error(), one.part) {
			return hintError{err, one.hint}
		}
	}
	return err
}

func (u *up) logger(l *slog.Logger) *slog.Logger {
	return newUpLog(l.Handler(), upLogOptions{terminal: accesslog.Terminal(os.Stderr), whole: u.flags.command != nil}, os.Stderr)
}

// say writes a line for the person who has started headgate up.
func (u *up) say(format string, args ...any) {
	fmt.Fprintf(u.talk, "headgate: "+format+"\n", args...)
}

// load is the configuration. When it is asked for again, static files are looked for
// again.
func (u *up) load() (*config.Config, error) {
	u.mu.Lock()
	again := u.loaded
	u.loaded = true
	u.mu.Unlock()
	if again && u.flags.command == nil {
		if err := u.find(context.Background(), false); err != nil {
			return nil, err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.flags.config(u.addresses, u.static)
}

// findTime is how long an app may take to be imported. It is what its workers have.
const findTime = 60 * time.Second

// slowImport is when people are told that they wait for the app.
const slowImport = 3 * time.Second

// find looks for the app and for what the gateway can serve of it, and says what was
// found if aloud. An app that cannot be imported is an error only when nobody waits
// for it to be mended.
func (u *up) find(ctx context.Context, aloud bool) error {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	o, err := u.flags.workers()
	if err != nil {
		return usageError{err}
	}
	request, err := u.flags.request(o)
	if err != nil {
		return err
	}
	if aloud {
		slow := time.AfterFunc(slowImport, func() {
			u.say("the app is still being imported; one that calls app.run() does that below if __name__ == \"__main__\"")
		})
		defer slow.Stop()
	}
	plan, err := python.NewPlan(ctx, request)
	if err != nil && (!u.flags.watch() || !importFailed(err)) {
		return u.withTraceback(err.Error())
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.broken = err
	if err != nil {
		return nil // the workers say so in a moment
	}
	u.static = nil
	if !u.flags.noStatic {
		u.static = plan.App.Static
	}
	if !aloud {
		return nil
	}
	for _, chose := range plan.Chose {
		u.say("%s", chose)
	}
	for _, s := range u.static {
		u.say("%s is served from %s", s.URL, shortPath(o.Chdir, s.Dir))
	}
	return nil
}

// withTraceback prints all but the first line of text, which is the error.
func (u *up) withTraceback(text string) error {
	fact, traceback, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if traceback != "" {
		fmt.Fprintln(u.talk, traceback)
	}
	return errors.New(fact)
}

// importFailed reports whether an app was found, and is broken: then a traceback says
// where. Without a place there is no such module, or nothing in it that is an app.
func importFailed(err error) bool { return strings.Contains(err.Error(), `  File "`) }

// announce waits until the app serves, or does not, and says so. It returns early with
// ctx.
func (u *up) announce(ctx context.Context) {
	late := time.AfterFunc(lateStart, u.sayLate)
	first := u.await(ctx, func(w *stats.Workers) bool { return serves(w) || w.State == "idle" || w.Error != "" })
	late.Stop()
	switch {
	case first == nil, ctx.Err() != nil:
		return
	case first.Error != "" && !serves(first) && !u.flags.watch(): // who has started it sees to it
		u.server.end(u.withTraceback(failure(first)))
		return
	}
	u.say("%s", u.protocols())
	u.sayTrust()
	if serves(first) || first.State == "idle" {
		u.say("%s%s; Ctrl-C ends all", u.runner(first), u.watched())
	} else {
		u.say("%s does not start, and its page says why: mend it, and it is tried again; Ctrl-C ends all", u.subject())
	}
	fmt.Fprintln(u.out, u.addresses.url(u.flags.host))
	if serves(first) {
		u.answered.Store(true)
		return
	}
	mended := u.await(ctx, serves)
	if mended == nil {
		return
	}
	u.answered.Store(true)
	u.say("it is mended: %s", u.runner(mended))
	u.mu.Lock()
	broken := u.broken
	u.mu.Unlock()
	if broken != nil { // its static files were not known
		u.server.reload(ctx)
	}
}

// lateStart is when people are told that they wait for workers.
const lateStart = 5 * time.Second

// sayLate says what workers that do not serve yet may be doing.
func (u *up) sayLate() {
	if u.flags.command == nil {
		u.say("the workers are still importing the app")
		return
	}
	speaks := cmp.Or(u.flags.protocol, u.flags.guessProtocol())
	u.say("nobody answers yet on the socket of %s; it is to accept %s on the descriptor {fd} or HEADGATE_FD, or at the path {socket} or HEADGATE_SOCKET (other protocols: --protocol)",
		u.subject(), speaks)
}

// subject is what is started, in a sentence.
func (u *up) subject() string {
	if u.flags.command != nil {
		return u.flags.command[0]
	}
	return "the app"
}

func serves(w *stats.Workers) bool { return w.State == "ready" || w.State == "reloading" }

// failure is why workers have not started, with what they wrote.
func failure(w *stats.Workers) string {
	if len(w.Tail) == 0 || strings.Contains(w.Error, "\n") {
		return w.Error
	}
	return w.Error + "\n" + strings.Join(w.Tail, "\n")
}

// await returns the workers as soon as they are as they should; nil: ctx has ended.
func (u *up) await(ctx context.Context, is func(*stats.Workers) bool) *stats.Workers {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for {
		for _, p := range u.server.gw.Snapshot().Pools {
			if p.Name == upPool && p.Workers != nil && is(p.Workers) {
				return p.Workers
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// announceEvery is how often headgate up looks at its workers until they serve.
const announceEvery = 50 * time.Millisecond

// runner is who runs the app: uwsgi, 4 processes x 2 threads.
func (u *up) runner(w *stats.Workers) string {
	if u.flags.command != nil {
		return filepath.Base(u.flags.command[0]) + " serves"
	}
	if w.Processes == 0 {
		return w.Server
	}
	s := w.Server + ", " + count(w.Processes, "process")
	if w.Processes != 1 {
		s = fmt.Sprintf("%s, %d processes", w.Server, w.Processes)
	}
	if w.Threads > 0 {
		s += " x " + count(w.Threads, "thread")
	}
	return s
}

func (u *up) watched() string {
	if u.flags.watch() {
		return "; new ones when a file changes"
	}
	return ""
}

// protocols is what is spoken where.
func (u *up) protocols() string {
	l, hosts := u.addresses, u.flags.host
	if len(l.https) == 0 {
		return "HTTP/1.1 and HTTP/2 at " + l.url(hosts)
	}
	s := "HTTP/1.1, HTTP/2 and HTTP/3 at " + l.url(hosts)
	if len(l.http) > 0 {
		s += ", where " + upListen{http: l.http}.url(hosts) + " leads"
	}
	return s
}

// sayTrust says how browsers come to trust the certificate, if they do not.
func (u *up) sayTrust() {
	if len(u.addresses.https) == 0 || u.flags.issuer(u.addresses) == "none" {
		return
	}
	o := certs.Options{Storage: u.flags.storage}
	if !inFiles(o) {
		return
	}
	root, err := os.ReadFile(certs.RootFile(o.StorageDir()))
	if err != nil || trusted(root) { // without a root there is another authority
		return
	}
	u.say("browsers warn of the certificate until this machine trusts its local authority: headgate trust")
}

// trusted reports whether this machine trusts a root certificate in PEM.
func trusted(root []byte) bool {
	block, _ := pem.Decode(root)
	if block == nil {
		return false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false
	}
	_, err = cert.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// ended is told that the command has ended, with which headgate ends too.
func (u *up) ended(pool string, code int) bool {
	err := error(exitError{code: code})
	if code != 0 {
		err = exitError{code, fmt.Errorf("%s has ended with the code %d", u.flags.command[0], code)}
	}
	if code == 0 && !u.answered.Load() {
		u.say("%s has ended with the code 0, and has not served: a command is to be a server that stays, and takes the socket {fd} or {socket}", u.flags.command[0])
	}
	u.server.end(err)
	return true
}
