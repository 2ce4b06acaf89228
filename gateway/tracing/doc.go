// Package tracing makes a span of every request and sends it to a collector with
// OTLP over HTTP. It is the only package that imports OpenTelemetry, and imports
// nothing of ours.
//
//	tracer, err := tracing.New(ctx, options, os.LookupEnv, log) // nil when off
//	defer tracer.Shutdown(context.Background())
//	span := tracer.Start(tracing.Request{Traceparent: r.Header.Get("Traceparent"), Method: r.Method})
//	span.SetRoute("shop", "/static/")
//	span.Child("queue", began, got)
//	span.End(200, "", nil)
//
// Trace context is W3C's (https://www.w3.org/TR/trace-context/); names are those
// of OpenTelemetry's stable conventions for HTTP servers. A query string is never
// recorded: it may hold secrets.
//
// Limits: at most 4096 spans wait for the collector, and what comes then is
// dropped and counted, so a collector that is down costs no request any time.
// An attribute keeps its first 1024 bytes. A nil *Tracer and a nil *Span are
// valid and do nothing, without an allocation.
//
// Nothing global of OpenTelemetry is set, and what goes wrong at run time goes to
// the logger. One exception cannot be closed off from outside: the SDK reads the
// OTEL_* variables of the process again by itself, and says once on stderr when
// it cannot understand one.
package tracing
