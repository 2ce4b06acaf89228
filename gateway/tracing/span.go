package tracing

import (
	"context"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Request is what the server span says of a request. Empty fields are left out.
type Request struct {
	Traceparent string    // as the client sent it; what is not valid begins a new trace
	Tracestate  string    // several headers are joined with ","
	Start       time.Time // zero: now
	Method      string
	Scheme      string     // "https"
	Host        string     // with or without a port
	Path        string     // never with a query: it may hold secrets
	Proto       string     // "HTTP/2.0"
	Client      netip.Addr // the real client, behind trusted proxies
	UserAgent   string
}

// Span is one span: that of a request, or one below it. A nil Span is valid and
// does nothing. Its methods may be called by any number of goroutines at once;
// after the end of the span, those that change it do nothing.
type Span struct {
	tracer trace.Tracer
	span   trace.Span
	method string // for the name
}

// Start begins the server span of a request. It never blocks.
func (t *Tracer) Start(r Request) *Span {
	if t == nil {
		return nil
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier{r.Traceparent, r.Tracestate})
	name, known := knownMethod(r.Method)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	if !r.Start.IsZero() {
		options = append(options, trace.WithTimestamp(r.Start))
	}
	_, span := t.tracer.Start(ctx, name, options...)
	if span.IsRecording() {
		span.SetAttributes(requestAttributes(r, name, known)...)
	}
	return &Span{tracer: t.tracer, span: span, method: name}
}

// SetRoute says which site and route answer: for http.route, and the span's
// name. Both are names from the configuration.
func (s *Span) SetRoute(site, route string) {
	if s == nil || !s.span.IsRecording() {
		return
	}
	site, route = clean(site), clean(route)
	if route != "" {
		s.span.SetName(s.method + " " + route)
		s.span.SetAttributes(semconv.HTTPRoute(route))
	}
	if site != "" {
		s.span.SetAttributes(attribute.String("headgate.site", site))
	}
}

// Set adds attributes.
func (s *Span) Set(attrs ...Attr) {
	if s == nil || !s.span.IsRecording() {
		return
	}
	s.span.SetAttributes(keyValues(attrs)...)
}

// Child records a span below s that has begun and ended already, such as the
// wait in a queue.
func (s *Span) Child(name string, start, end time.Time, attrs ...Attr) {
	if s == nil || !s.span.IsRecording() {
		return
	}
	c := s.child(name, trace.SpanKindInternal, start)
	c.Set(attrs...)
	c.span.End(trace.WithTimestamp(end))
}

// Begin begins a span below s for what is asked of somebody else, such as a
// worker. Its TraceParent is for that one. The caller ends it with Finish.
func (s *Span) Begin(name string, start time.Time, attrs ...Attr) *Span {
	if s == nil {
		return nil
	}
	c := s.child(name, trace.SpanKindClient, start)
	c.Set(attrs...)
	return c
}

func (s *Span) child(name string, kind trace.SpanKind, start time.Time) *Span {
	ctx := trace.ContextWithSpan(context.Background(), s.span)
	_, span := s.tracer.Start(ctx, name, trace.WithTimestamp(start), trace.WithSpanKind(kind))
	return &Span{tracer: s.tracer, span: span}
}

// Finish ends a span of Begin at a time. A kind, from a small fixed set, says
// that it failed; err may say more.
func (s *Span) Finish(end time.Time, kind string, err error) {
	if s == nil {
		return
	}
	s.fail(kind, kind != "", err)
	s.span.End(trace.WithTimestamp(end))
}

// End ends the span of a request now. A status of 0 says that none was sent. The
// span is an error when kind, from a small fixed set, is not empty, when the
// status is 500 or more, or 0; err may say more.
func (s *Span) End(status int, kind string, err error) {
	if s == nil {
		return
	}
	if s.span.IsRecording() {
		if status > 0 {
			s.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		}
		failed := kind != "" || status >= 500 || status == 0
		if failed && kind == "" {
			kind = errorType(status)
		}
		s.fail(kind, failed, err)
	}
	s.span.End()
}

// fail marks s as an error, if it is one.
func (s *Span) fail(kind string, failed bool, err error) {
	if !failed || !s.span.IsRecording() {
		return
	}
	text := ""
	if err != nil {
		text = shorten(err.Error(), 300)
	}
	s.span.SetAttributes(semconv.ErrorTypeKey.String(clean(kind)))
	s.span.SetStatus(codes.Error, text)
}

// TraceID returns the trace's id in hex, also when it is not sampled; "" for nil.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// TraceParent returns the header for whom the request is passed on to, which
// names s as the parent; "" for nil.
func (s *Span) TraceParent() string {
	if s == nil {
		return ""
	}
	c := s.span.SpanContext()
	trace, span := c.TraceID(), c.SpanID()
	flags := byte(c.TraceFlags() & (0x01 | 0x02)) // sampled, random: the others have no meaning yet
	b := make([]byte, 0, 55)
	b = appendHex(append(b, "00-"...), trace[:]...)
	b = appendHex(append(b, '-'), span[:]...)
	return string(appendHex(append(b, '-'), flags))
}

// TraceState returns the client's tracestate, to be passed on with TraceParent;
// "" when there is none, or when it is not valid.
func (s *Span) TraceState() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceState().String()
}

func appendHex(b []byte, raw ...byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range raw {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// carrier gives a client's two headers to the propagator.
type carrier struct{ parent, state string }

// Get returns a header.
func (c carrier) Get(key string) string {
	switch key {
	case "traceparent":
		return c.parent
	case "tracestate":
		return c.state
	}
	return ""
}

// Set does nothing: spans are passed on by TraceParent.
func (carrier) Set(string, string) {}

// Keys returns the names of the headers.
func (carrier) Keys() []string { return []string{"traceparent", "tracestate"} }
