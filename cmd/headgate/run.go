package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"headgate/gateway"
	"headgate/gateway/accesslog"
	"headgate/gateway/admin"
	"headgate/gateway/config"
	"headgate/gateway/filter/limit/redis"
	"headgate/gateway/stats"
	"headgate/gateway/tracing"
	"headgate/tls/acme"
	"headgate/tls/certs"
	"headgate/tls/storage"
	"headgate/upstream/worker/process"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run the gateway with a configuration file", Args: noArgs,
		Long: `Run the gateway in the foreground. headgate reload reads the file again, and so does
SIGHUP, which then replaces the workers that the gateway has started, as headgate
reload --workers does. SIGTERM or Ctrl-C finish the requests that run and end; a second
one ends at once.`,
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		path, err := configPath(*file)
		if err != nil {
			return err
		}
		s := &server{source: path}
		return s.serve(cmd.Context(), func() (*config.Config, error) { return config.Load(path, os.LookupEnv) })
	}
	return cmd
}

// server is the running gateway with everything that stands around it.
type server struct {
	source      string // of the configuration, for people
	shyOfSocket bool   // go on without an admin socket when another gateway has it

	// For headgate up; all may be zero.
	requests     *os.File                                 // where the access log goes in place of stdout
	logger       func(*slog.Logger) *slog.Logger          // makes another of the process log
	ready        func(ctx context.Context)                // runs from when the gateway serves; it ends with ctx
	hangUpEnds   bool                                     // SIGHUP is that of a terminal that was closed
	passOn       string                                   // the pool whose command gets the signals that are not ours
	commandEnded func(pool string, code int) (leave bool) // see gateway.Setup

	end    context.CancelCauseFunc // ends serve, which returns the cause
	gw     *gateway.Gateway
	redis  redis.Servers  // that rates are shared by
	conf   *config.Config // of the start
	log    *slog.Logger
	access *accesslog.Log
	tracer *tracing.Tracer
}

// serve runs a gateway until ctx ends or it cannot start.
func (s *server) serve(ctx context.Context, load func() (*config.Config, error)) error {
	first, err := load()
	if err != nil {
		return err
	}
	ctx, s.end = context.WithCancelCause(ctx)
	defer s.end(nil)
	signal.Ignore(syscall.SIGPIPE) // a reader of the logs that dies must not end the gateway
	s.conf, s.log = first, accesslog.NewLogger(os.Stderr, accesslog.Terminal(os.Stderr), first.Log)
	if s.logger != nil {
		s.log = s.logger(s.log)
	}
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(s.log.Handler(), slog.LevelDebug).Writer()) // what libraries say by themselves, of what members send too
	requests := cmp.Or(s.requests, os.Stdout)
	if s.access, err = accesslog.Open(first.Log, requests, accesslog.Terminal(requests), s.log); err != nil {
		return hintError{err, "make its directory and let this user write to it, or choose another place (log.access)"}
	}
	if s.tracer, err = tracing.New(ctx, first.Tracing, os.LookupEnv, s.log); err != nil {
		return err
	}
	s.redis.Log = s.log
	defer s.redis.Close() // its connections end with the process anyway
	provider, err := openApps(first.Apps, s.log)
	if err != nil {
		return hintError{err, "name a directory, or a pattern such as /etc/headgate/apps/*.yaml (apps)"}
	}
	s.gw = gateway.New(gateway.Setup{
		Load: once(first, load), Version: version(), Config: s.source, Shared: s.redis.Open, Provider: provider, CommandEnded: s.commandEnded,
		Log: s.log, Access: s.access, Tracer: s.tracer, ACME: acme.New,
		Storage: func(ctx context.Context, url string) (certs.Storage, error) { return storage.Open(ctx, url, s.log) },
	})
	return s.run(ctx)
}

// once gives the configuration that has been read already, and reads it again
// only after that. What cannot change while the process runs is warned about.
func once(first *config.Config, load func() (*config.Config, error)) func() (*config.Config, error) {
	started := false
	return func() (*config.Config, error) {
		if !started {
			started = true
			return first, nil
		}
		c, err := load()
		if err != nil {
			return nil, err
		}
		for _, part := range []struct {
			key     string
			changed bool
		}{
			{"apps", c.Apps != first.Apps},
			{"log", c.Log != first.Log},
			{"metrics", c.Metrics != first.Metrics},
			{"tracing", !reflect.DeepEqual(c.Tracing, first.Tracing)},
			{"admin.socket", c.Admin.Socket != first.Admin.Socket},
		} {
			if part.changed {
				c.Warnings = append(c.Warnings, &config.Error{Path: part.key, Msg: part.key + " has changed and needs a restart: until then the old value holds"})
			}
		}
		return c, nil
	}
}

// run starts everything, the gateway last, and ends it in the opposite order.
func (s *server) run(ctx context.Context) error {
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer func() { // logs end last
		end()
		wg.Wait()
		s.tracer.Shutdown(context.Background())
	}()
	wg.Go(func() { tune(background, s.log) })
	wg.Go(func() { watchMemory(background, s.log) })
	wg.Go(func() {
		if err := s.access.Run(background); err != nil {
			s.log.Error("access log", "err", err)
		}
	})
	wg.Go(func() { // of which there are some only where we are PID 1
		if err := process.Reap(background); err != nil {
			s.log.Error("processes that others have left stay behind", "err", err)
		}
	})
	if err := s.startAdmin(ctx, &wg, background); err != nil {
		return err
	}
	wg.Go(func() { s.signals(background) })
	if s.ready != nil {
		wg.Go(func() {
			select {
			case <-s.gw.Ready():
				s.ready(ctx)
			case <-background.Done():
			}
		})
	}
	if s.commandEnded != nil {
		wg.Go(func() { s.leave(ctx, background) })
	}
	return causeOf(ctx, s.gw.Run(ctx))
}

// leave ends what waits for a command that has ended by itself: no other one comes.
// Answers that are on their way have a moment.
func (s *server) leave(ctx, background context.Context) {
	select {
	case <-ctx.Done():
	case <-background.Done():
		return
	}
	if !errors.As(context.Cause(ctx), new(exitError)) {
		return
	}
	if _, err := s.gw.PausePool(s.passOn, gateway.PauseMost); err != nil { // a pause ends with the drain
		s.log.Debug("requests that wait are not answered yet", "err", err)
	}
	moment := time.NewTimer(leaveTime)
	defer moment.Stop()
	select {
	case <-moment.C:
		s.gw.Stop()
	case <-background.Done():
	}
}

// leaveTime is how long answers may take to reach their clients when the command that
// made them is gone.
const leaveTime = 5 * time.Second

// causeOf is why a gateway has ended: with an exit code that was decided on, with what
// it says itself, or because of something beside it.
func causeOf(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var exit exitError
	switch {
	case errors.As(cause, &exit) && exit.code == 0:
		return err
	case errors.As(cause, &exit):
		return cause
	case err == nil && cause != nil && !errors.Is(cause, context.Canceled):
		return cause
	}
	return err
}

// startAdmin binds the admin socket and the metrics address and serves them until
// background ends: they answer while the gateway drains.
func (s *server) startAdmin(ctx context.Context, wg *sync.WaitGroup, background context.Context) error {
	start := func(serve func(context.Context, net.Listener) error, l net.Listener) {
		wg.Go(func() {
			if err := serve(background, l); err != nil {
				s.end(err)
			}
		})
	}
	socket, err := admin.ListenSocket(s.conf.Admin.Socket)
	switch {
	case err == nil:
		start(admin.NewAPI(s.gw, s.log).Serve, socket)
	case s.shyOfSocket && errors.Is(err, admin.ErrRunning):
		s.log.Warn("no admin socket: another headgate has it; name one with --socket to ask this gateway", "socket", s.conf.Admin.Socket)
	default:
		return err
	}
	if s.conf.Metrics == "" {
		return nil
	}
	metrics, err := admin.ListenMetrics(s.conf.Metrics)
	if err != nil {
		return hintError{err, "choose an address of this machine that is free (metrics); ss -lntup shows which are taken"}
	}
	start(admin.NewMetrics(s.gw.Snapshot, s.state(ctx), s.log).Serve, metrics)
	return nil
}

// state tells what the gateway does, which drains from the end of ctx on. Unlike a
// snapshot it costs nothing.
func (s *server) state(ctx context.Context) func() stats.State {
	return func() stats.State {
		select {
		case <-s.gw.Ready():
		default:
			return stats.StateStarting
		}
		if ctx.Err() != nil {
			return stats.StateDraining
		}
		return stats.StateReady
	}
}

// signals reloads on SIGHUP, and ends at once on the second signal to stop. Where a
// command is served, others and SIGHUP are passed on to it.
func (s *server) signals(background context.Context) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	if s.passOn != "" {
		signal.Notify(c, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	}
	defer signal.Stop(c)
	var reloads sync.WaitGroup // a reload that takes long must not keep a signal to stop waiting
	defer reloads.Wait()
	stopping := false // the first signal to stop comes here too, before or after it has ended ctx
	for {
		select {
		case sig := <-c:
			switch {
			case sig != syscall.SIGTERM && sig != os.Interrupt && s.passOn != "":
				if err := s.gw.SignalWorkers(s.passOn, sig); err != nil {
					s.log.Warn("signal not passed on", "signal", sig.String(), "err", err)
				}
			case sig == syscall.SIGHUP && s.hangUpEnds:
				stopping = true
				s.end(nil)
			case sig == syscall.SIGHUP:
				reloads.Go(func() { s.hangUp(background) })
			case stopping:
				s.log.Warn("second signal: ending at once")
				s.gw.Stop()
			default:
				stopping = true
			}
		case <-background.Done():
			return
		}
	}
}

// hangUp reads the configuration again, and then has new workers. A configuration that
// is refused is a deployment that is not complete: the old workers go on too.
func (s *server) hangUp(ctx context.Context) {
	if !s.reload(ctx) {
		return
	}
	if err := s.gw.ReloadWorkers(ctx, ""); err != nil {
		s.log.Error("new workers did not start: the old ones go on", "err", err)
	}
}

// reload reports whether the configuration serves.
func (s *server) reload(ctx context.Context) bool {
	if err := s.access.Reopen(); err != nil {
		s.log.Error("access log goes on in its old file", "err", err)
	}
	_, err := s.gw.Reload(ctx)
	if err != nil {
		s.log.Error("reload refused: the old configuration goes on", "err", err)
	}
	return err == nil
}
