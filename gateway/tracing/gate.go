package tracing

import (
	"context"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// gate lets a span into the SDK's queue when there is room. The SDK would drop
// it too, but tell nobody.
type gate struct {
	next     sdktrace.SpanProcessor
	exporter *exporter
}

// OnStart does nothing.
func (g *gate) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd queues s, or drops and counts it.
func (g *gate) OnEnd(s sdktrace.ReadOnlySpan) {
	if g.exporter.pending.Add(1) > queueSpans {
		g.exporter.pending.Add(-1)
		g.exporter.dropped.Add(1)
		return
	}
	g.next.OnEnd(s)
}

// Shutdown exports what is queued.
func (g *gate) Shutdown(ctx context.Context) error { return g.next.Shutdown(ctx) }

// ForceFlush exports what is queued.
func (g *gate) ForceFlush(ctx context.Context) error { return g.next.ForceFlush(ctx) }
