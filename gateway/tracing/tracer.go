package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const (
	queueSpans    = 4096            // that wait for the collector
	batchSpans    = 512             // in one export
	maxValue      = 1024            // bytes of an attribute's value
	shutdownLimit = 5 * time.Second // for the last export
	retryFirst    = 500 * time.Millisecond
	retryMax      = 2 * time.Second
	retryFor      = 8 * time.Second // of one batch, when the collector is busy
)

// Tracer makes spans and sends them off. One per process is enough: it outlives
// reloads. A nil Tracer is valid and does nothing. All methods may be called by
// any number of goroutines at once.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	gate     *gate
	exporter *exporter
}

// New returns the Tracer that o and the OTEL_* variables ask for: nil when they
// name no endpoint, or when OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER=none turn
// it off. A variable that cannot be read is reported to log and ignored; an
// option that cannot be is an error. New does not wait for the collector. It
// starts the goroutine that exports, which ends with Shutdown.
func New(ctx context.Context, o Options, lookup LookupEnv, log *slog.Logger) (*Tracer, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	env := environment{lookup, log}
	endpoint, err := endpointOf(o, env)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if endpoint == nil {
		return nil, nil
	}
	if why := env.off(); why != "" {
		log.Info("tracing is off", "because", why)
		return nil, nil
	}
	s, err := resolve(endpoint, o, env)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	exp, err := newExporter(ctx, s, log)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	log.Info("tracing is on", "endpoint", endpoint.String(), "sampler", s.sampler.Description())
	return newTracer(exp, s), nil
}

// newTracer starts the pipeline: gate, the SDK's batches, exporter.
func newTracer(exp *exporter, s settings) *Tracer {
	g := &gate{exporter: exp, next: sdktrace.NewBatchSpanProcessor(exp,
		sdktrace.WithMaxQueueSize(queueSpans), // never full: gate counts before
		sdktrace.WithMaxExportBatchSize(batchSpans),
		sdktrace.WithExportTimeout(s.timeout+retryFor),
	)}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxValue
	limits.AttributeCountLimit = 64
	p := sdktrace.NewTracerProvider(
		sdktrace.WithResource(s.resource),
		sdktrace.WithSampler(s.sampler),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithSpanProcessor(g),
	)
	return &Tracer{
		provider: p,
		tracer:   p.Tracer("headgate/gateway/tracing", trace.WithSchemaURL(semconv.SchemaURL)),
		gate:     g,
		exporter: exp,
	}
}

// newExporter returns what posts to s.endpoint.
func newExporter(ctx context.Context, s settings, log *slog.Logger) (*exporter, error) {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       s.tls,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          2,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   s.timeout,
		ResponseHeaderTimeout: s.timeout,
	}
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(s.endpoint.String()),
		otlptracehttp.WithHeaders(s.headers),
		otlptracehttp.WithCompression(otlptracehttp.NoCompression),
		otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
		otlptracehttp.WithTimeout(s.timeout),
		otlptracehttp.WithMaxResponseSize(64 << 10),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: transport, Timeout: s.timeout, CheckRedirect: stay}),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryMax, MaxElapsedTime: retryFor,
		}),
	}
	if s.gzip {
		options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	if s.json {
		options = append(options, otlptracehttp.WithEncoding(otlptracehttp.EncodingJSON))
	}
	inner, err := otlptrace.New(ctx, otlptracehttp.NewClient(options...))
	if err != nil {
		return nil, err
	}
	return &exporter{inner: inner, idle: transport.CloseIdleConnections, log: log, ended: make(chan struct{})}, nil
}

// stay follows no redirect: the headers for the collector are keys.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Shutdown exports the spans that have ended and stops. It returns when ctx ends
// or after 6 s at the latest, with an error if spans may have been lost then.
// Spans that end later are dropped.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	err := t.gate.Shutdown(ctx)
	if err != nil { // the SDK goes on in the background: interrupt it
		t.exporter.interrupt(ctx)
		last := time.NewTimer(time.Second)
		defer last.Stop()
		select {
		case <-t.exporter.ended:
		case <-last.C:
		}
	}
	// From here on Start makes spans that record nothing. The provider would not
	// have stopped the exports with a context that has ended already.
	err = errors.Join(err, t.provider.Shutdown(context.WithoutCancel(ctx)))
	t.exporter.idle()
	t.exporter.report()
	if err != nil {
		return fmt.Errorf("tracing: the last spans were not exported: %w", err)
	}
	return nil
}

// Dropped returns how many spans were lost: the queue was full, or the collector
// did not take them.
func (t *Tracer) Dropped() uint64 {
	if t == nil {
		return 0
	}
	return t.exporter.dropped.Load()
}
