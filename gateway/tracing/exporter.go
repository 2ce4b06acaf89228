package tracing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// quiet is the time between two reports of a collector that does not answer.
const quiet = time.Minute

// exporter sends batches, and takes the errors: what it returned would go to
// OpenTelemetry's global handler, and so to stderr.
type exporter struct {
	inner   *otlptrace.Exporter
	idle    func() // closes idle connections
	log     *slog.Logger
	pending atomic.Int64  // spans in the SDK's queue or in an export
	dropped atomic.Uint64 // spans lost
	ended   chan struct{} // closed when the SDK has called Shutdown, its last call

	mu       sync.Mutex // guards the fields below
	failing  bool       // the last export failed
	silent   time.Time  // until then failures are not reported
	reported uint64     // of dropped
}

// ExportSpans sends one batch. It returns nil.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.inner.ExportSpans(ctx, spans)
	e.pending.Add(-int64(len(spans)))
	if err != nil {
		e.dropped.Add(uint64(len(spans)))
	}
	e.result(err)
	return nil
}

// result reports the first failure, one a minute after that, and the recovery.
func (e *exporter) result(err error) {
	e.mu.Lock()
	was := e.failing
	e.failing = err != nil
	say := err != nil && time.Now().After(e.silent)
	if say {
		e.silent = time.Now().Add(quiet)
	}
	e.mu.Unlock()
	switch {
	case say:
		e.log.Warn("spans not exported", "err", shorten(err.Error(), 300), "dropped", e.unreported())
	case was && err == nil:
		e.log.Info("spans are exported again", "dropped", e.unreported())
	}
}

// report reports the spans that were dropped since the last report, if any.
func (e *exporter) report() {
	if n := e.unreported(); n > 0 {
		e.log.Warn("spans dropped", "dropped", n)
	}
}

// unreported returns how many spans were dropped since it was called last.
func (e *exporter) unreported() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.dropped.Load() - e.reported
	e.reported += n
	return n
}

// interrupt ends the export that is under way, and all that come.
func (e *exporter) interrupt(ctx context.Context) {
	if err := e.inner.Shutdown(ctx); err != nil && ctx.Err() == nil {
		e.log.Debug("exporter not stopped", "err", err)
	}
}

// Shutdown is called by the SDK after its last export.
func (e *exporter) Shutdown(ctx context.Context) error {
	defer close(e.ended)
	return e.inner.Shutdown(ctx)
}
