package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"headgate/gateway/accesslog"
	"headgate/gateway/cache"
	"headgate/gateway/config"
	"headgate/gateway/filter/compress"
	"headgate/gateway/filter/limit"
	"headgate/gateway/relay"
	"headgate/gateway/socket"
	"headgate/gateway/stats"
	"headgate/gateway/tracing"
	"headgate/tls/certs"
	"headgate/upstream"
	"headgate/upstream/subscribe"
	"headgate/upstream/uwsgi"
	"headgate/upstream/worker"
)

// Setup is what a Gateway works with. Load is required; the rest may be zero.
type Setup struct {
	// Load reads the configuration, for the start and for every reload.
	Load func() (*config.Config, error)

	Version string
	Config  string          // where the configuration comes from, for people
	Log     *slog.Logger    // nil: silent
	Access  *accesslog.Log  // nil: no access log; the caller runs it
	Tracer  *tracing.Tracer // nil: no spans; the caller shuts it down

	// Storage and ACME are what certificates are kept in and made by; see
	// certs.Setup. Configurations that need one that is nil are refused. Run
	// closes what Storage has returned, if it is an io.Closer.
	Storage func(ctx context.Context, url string) (certs.Storage, error)
	ACME    func(certs.Authority) (certs.Issuer, error)

	// Provider says what is served besides what Load returns; nil: nothing.
	Provider Provider

	// Runtime is a directory for the sockets of workers, for this user alone; "":
	// /run/headgate for root, and for others one below $XDG_RUNTIME_DIR or the
	// directory for temporary files.
	Runtime string

	// CommandEnded is told that a command that serves a pool (workers.command) has
	// ended by itself, with a code as shells have it; nil, or false: it is started again.
	CommandEnded func(pool string, code int) (leave bool)

	// Shared opens what gateways count rates with together. A configuration that
	// needs it is refused where it is nil.
	Shared func(url string) (limit.Shared, error)
}

// Gateway is a running server. Make it with New; its methods are safe for
// concurrent use, but Run is called once.
type Gateway struct {
	load    func() (*config.Config, error)
	version string
	source  string
	log     *slog.Logger
	access  *accesslog.Log
	tracer  *tracing.Tracer
	engines *slog.Logger // for what clients do wrong: debug

	certs     *certs.Store
	asks      *asks
	tlsConfig *tls.Config
	counters  *stats.Counters
	pools     *pools
	bodies    *uwsgi.SpoolMemory // for bodies that wait for their workers
	room      *relay.Room        // for answers that wait for their clients
	buffers   buffers
	hangups   socket.Hangups // of clients that wait
	exchanges exchanges
	cache     *cache.Store
	rates     limit.Setup // what rates are counted with

	providing    providing
	supervisors  supervisors       // of workers
	subscribed   *subscribe.Server // by uWSGI instances
	commandEnded func(pool string, code int) bool
	background   *background
	switches     switches // of maintenance
	encoders     compress.Encoders
	failures     failureLog
	tunnels      tunnels
	waits        waits        // for slots
	running      atomic.Int64 // requests, the tunnels included
	started      time.Time

	current  atomic.Pointer[generation]
	draining atomic.Bool
	state    atomic.Value // stats.State
	ready    chan struct{}
	stop     chan struct{} // closed by Stop
	stopOnce sync.Once

	reloading sync.Mutex // one at a time; guards doors
	doors     []*door
	retiring  sync.WaitGroup // of doors that are no longer wanted

	mu         sync.Mutex // guards the field below
	lastReload stats.Reload
}

// bodyMemory bounds the memory of all request bodies together; beyond it they go
// into files at once.
const bodyMemory = 32 << 20

// answerMemory bounds the memory of all answers together that wait for clients;
// beyond it they go into files at once.
const answerMemory = 48 << 20

// New returns a Gateway that has not read its configuration and serves nothing.
func New(s Setup) *Gateway {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		load: s.Load, version: s.Version, source: s.Config,
		log: s.Log, access: s.Access, tracer: s.Tracer,
		engines:    slog.New(quieter{s.Log.Handler()}),
		certs:      certs.New(certs.Setup{Storage: s.Storage, ACME: s.ACME, Log: s.Log}),
		asks:       newAsks(s.Log),
		counters:   stats.NewCounters(),
		pools:      upstream.NewPools[*backend](s.Log),
		bodies:     uwsgi.NewSpoolMemory(bodyMemory),
		room:       relay.NewRoom(answerMemory, func() (*os.File, error) { return uwsgi.TempFile("") }),
		cache:      cache.NewStore(cache.Setup{Log: s.Log}),
		rates:      limit.Setup{Log: s.Log, Counters: limit.NewCounters(), Shared: s.Shared},
		background: newBackground(),
		ready:      make(chan struct{}),
		stop:       make(chan struct{}),
	}
	g.commandEnded = s.CommandEnded
	g.providing = providing{from: s.Provider, heard: make(chan struct{}, 1), first: make(chan struct{})}
	g.subscribed = subscribe.New(subscribe.Setup{Log: s.Log, Probe: probe})
	g.supervisors = supervisors{g: g, setup: worker.Setup{Dir: cmp.Or(s.Runtime, runtimeDir()), Log: s.Log, RequestID: findRequestID, AtOnce: g.stop, Shared: worker.NewShared()}}
	g.tlsConfig = g.certs.TLSConfig()
	g.state.Store(stats.StateStarting)
	return g
}

// Ready is closed when all listeners accept.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// Stop ends Run at once, cutting requests that run, and killing workers.
func (g *Gateway) Stop() { g.stopOnce.Do(func() { close(g.stop) }) }

// Run reads the configuration, binds every address and serves until ctx ends.
// Then it takes no new connections, says GOAWAY, lets the requests that run
// finish for the configured grace, and returns after its last goroutine. It
// returns an error when it could not start, completely, or when requests had to
// be cut.
func (g *Gateway) Run(ctx context.Context) error {
	g.started = time.Now()
	defer g.asks.close()
	defer g.background.close()
	defer g.closeDoors()
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	g.providing.listen(ctx, background, &wg, func(err error) { g.log.Error("the folder of apps is not read any more", "err", err) })
	if _, err := g.Reload(ctx); err != nil {
		end()
		g.certs.Run(background) // closes the storages that building has opened
		return err
	}
	wg.Go(func() { g.follow(background) })
	wg.Go(func() { g.certs.Run(background) }) // ends with its context only
	wg.Go(func() { g.pools.Run(background) }) // likewise
	wg.Go(func() {
		if err := g.subscribed.Run(background); err != nil {
			g.log.Error("nobody can announce a member any more", "err", err)
		}
	})
	wg.Go(func() {
		if err := g.cache.Run(background); err != nil {
			g.log.Error("the cache keeps nothing on disk", "err", err)
		}
	})
	wg.Go(func() {
		if err := g.hangups.Run(background); err != nil {
			g.log.Error("clients that go away are noticed only when they get their answers", "err", err)
		}
	})

	g.state.Store(stats.StateReady)
	close(g.ready)
	select {
	case <-ctx.Done():
	case <-g.stop:
		return nil
	}
	return g.drain()
}

// drain is the graceful end.
func (g *Gateway) drain() error {
	grace := g.current.Load().grace
	g.log.Info("stopping: requests that run may finish", "grace", grace.String())
	g.draining.Store(true)
	g.state.Store(stats.StateDraining)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	go g.cancelOnStop(ctx, cancel)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { g.endWaits(ctx, grace-min(lastWord, grace/10)) })
	g.reloading.Lock()
	doors := g.doors
	g.reloading.Unlock()
	each(doors, func(d *door) error { d.stopAccepting(); return nil })
	sayGoodbye(ctx, doors)
	cut := g.finish(ctx, doors)
	if cut > 0 {
		return fmt.Errorf("%s with requests still running: %d cut", g.why(grace), cut)
	}
	g.log.Info("stopped")
	return nil
}

// endWaits answers the requests that have no slot: of paused pools at once, and all
// others after the given time, while an answer still gets through. It returns
// then, or with ctx.
func (g *Gateway) endWaits(ctx context.Context, after time.Duration) {
	last := time.NewTimer(after)
	defer last.Stop()
	tick := time.NewTicker(lastWord / 10)
	defer tick.Stop()
	for {
		g.waits.endPaused()
		select {
		case <-tick.C:
		case <-last.C:
			g.waits.endAll()
			return
		case <-ctx.Done():
			return
		}
	}
}

// lastWord is how long before the end of the grace requests are answered that still
// have no slot; of a short grace it is a tenth.
const lastWord = 500 * time.Millisecond

// finish waits for requests and tunnels until ctx ends, and then ends them. It
// returns how many requests that cut.
func (g *Gateway) finish(ctx context.Context, doors []*door) (cut int64) {
	patience, end := context.WithCancel(context.Background())
	defer end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		each(doors, func(d *door) error { return d.shutdown(patience) }) // an error is that of patience
		<-g.tunnels.idle()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		cut = g.inFlight() // before anything is closed
		end()
		g.tunnels.cut()
		<-done
	}
	return cut
}

// inFlight returns how many requests have not been answered whole.
func (g *Gateway) inFlight() (n int64) {
	for _, s := range g.counters.Sites() {
		n += s.InFlight
	}
	return n
}

// why says what ended the wait for requests.
func (g *Gateway) why(grace time.Duration) string {
	select {
	case <-g.stop:
		return "stopped at once"
	default:
		return "stopped after the grace of " + grace.String()
	}
}

// cancelOnStop calls cancel when Stop is called, and returns then or with ctx.
func (g *Gateway) cancelOnStop(ctx context.Context, cancel context.CancelFunc) {
	select {
	case <-g.stop:
		cancel()
	case <-ctx.Done():
	}
}

// goodbye is how long clients that reuse connections have to learn from a
// response that they must not. A connection that is closed while a request is on
// its way loses that request.
const goodbye = 500 * time.Millisecond

// sayGoodbye waits, while responses carry Connection: close, until all HTTP/1.1
// connections are gone or the time for it is over.
func sayGoodbye(ctx context.Context, doors []*door) {
	deadline := time.NewTimer(goodbye)
	defer deadline.Stop()
	tick := time.NewTicker(goodbye / 20)
	defer tick.Stop()
	for {
		open := int64(0)
		for _, d := range doors {
			open += d.open.Load()
		}
		if open == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gateway) closeDoors() {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	g.waits.endAll() // of some the servers do not notice that their clients are gone
	g.tunnels.cut()  // doors wait for them
	each(g.doors, func(d *door) error { d.close(); return nil })
	g.retiring.Wait()
	g.awaitRequests()
}

// awaitRequests returns when the requests that were cut have noticed it: servers
// close connections and do not wait for handlers, which still have a line to log.
func (g *Gateway) awaitRequests() {
	deadline := time.NewTimer(cutTime)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for g.running.Load() > 0 {
		select {
		case <-tick.C:
		case <-deadline.C:
			g.log.Error("requests that were cut go on", "requests", g.running.Load())
			return
		}
	}
}

// cutTime bounds the wait for requests whose connections are closed.
const cutTime = 5 * time.Second

// each runs f for all doors at once and joins the errors.
func each(doors []*door, f func(*door) error) error {
	errs := make([]error, len(doors))
	var wg sync.WaitGroup
	for i, d := range doors {
		wg.Go(func() { errs[i] = f(d) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// quieter makes what a library calls an error of a client a matter of debugging.
type quieter struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quieter) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}
