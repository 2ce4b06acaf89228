package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"headgate/gateway/stats"
)

// Metrics answers monitoring: /metrics for Prometheus; /healthz with 200 as long
// as the process lives; /readyz with 200 when it serves, and 503 with the state
// in words when it is starting or draining. It is an http.Handler, safe for
// concurrent use. Nothing is counted for it: each scrape takes one snapshot, which
// looks at the memory of all workers, and nothing else does.
type Metrics struct {
	mux *http.ServeMux
	log *slog.Logger
}

// NewMetrics returns Metrics of what snapshot returns, and of state, which must be
// cheap; nil: that of a snapshot. A nil log is silent.
func NewMetrics(snapshot func() stats.Snapshot, state func() stats.State, log *slog.Logger) *Metrics {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if state == nil {
		state = func() stats.State { return snapshot().State }
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(
		newCollector(snapshot),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m := &Metrics{mux: http.NewServeMux(), log: log}
	m.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{log},
		ErrorHandling:       promhttp.ContinueOnError, // half the numbers are better than none
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	}))
	m.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		m.say(w, http.StatusOK, "ok")
	})
	m.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch state := state(); state {
		case stats.StateReady:
			m.say(w, http.StatusOK, "ok")
		default:
			m.say(w, http.StatusServiceUnavailable, string(state))
		}
	})
	return m
}

// ServeHTTP answers one request.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Serve answers at ln until ctx ends, then gives answers under way two seconds
// and closes ln. It returns after its last goroutine.
func (m *Metrics) Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, m, 30*time.Second, m.log)
}

func (m *Metrics) say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write([]byte(text + "\n")); err != nil {
		m.log.Debug("health answer not written", "err", err)
	}
}

// scrapeLog gives errors of a scrape to slog.
type scrapeLog struct{ log *slog.Logger }

// Println logs the values of one error.
func (l scrapeLog) Println(v ...any) { l.log.Error("metrics incomplete", "err", v) }
