package tracing_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"

	"headgate/gateway/tracing"
)

const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan   = "00f067aa0ba902b7"
	clientParent = "00-" + clientTrace + "-" + clientSpan + "-01"
)

func TestSpansOfARequest(t *testing.T) {
	c := newCollector(t)
	tr, flush := newTracer(t, tracing.Options{Endpoint: c.URL}, nil)
	t0 := time.Now().Add(-time.Second).Truncate(time.Microsecond)
	span := tr.Start(tracing.Request{
		Traceparent: clientParent, Tracestate: "vendor=1, other=2", Start: t0,
		Method: "POST", Scheme: "https", Host: "shop.example.com:8443", Path: "/cart", Proto: "HTTP/2.0",
		Client: netip.MustParseAddr("203.0.113.9"), UserAgent: "curl/8",
	})
	span.SetRoute("shop", "/")
	span.Child("queue", t0.Add(time.Millisecond), t0.Add(20*time.Millisecond), tracing.Int("waiting", 3))
	worker := span.Begin("worker", t0.Add(20*time.Millisecond), tracing.String("member", "unix:/run/a.sock"))
	toApp, stateToApp := worker.TraceParent(), worker.TraceState()
	worker.Finish(t0.Add(900*time.Millisecond), "no_answer", errors.New("closed without an answer"))
	if got := span.TraceID(); got != clientTrace {
		t.Errorf("TraceID = %s, want the client's", got)
	}
	span.End(502, "no_answer", errors.New("pool web: closed without an answer"))
	flush()

	server, queue, work := c.span(t, "POST /"), c.span(t, "queue"), c.span(t, "worker")
	for _, s := range []*pb.Span{server, queue, work} {
		if got := hex.EncodeToString(s.TraceId); got != clientTrace {
			t.Errorf("%s is in trace %s, want the client's", s.Name, got)
		}
	}
	if got := hex.EncodeToString(server.ParentSpanId); got != clientSpan {
		t.Errorf("parent of the server span = %s, want the client's %s", got, clientSpan)
	}
	if string(queue.ParentSpanId) != string(server.SpanId) || string(work.ParentSpanId) != string(server.SpanId) {
		t.Error("queue and worker are not below the server span")
	}
	if server.Kind != pb.Span_SPAN_KIND_SERVER || queue.Kind != pb.Span_SPAN_KIND_INTERNAL || work.Kind != pb.Span_SPAN_KIND_CLIENT {
		t.Errorf("kinds are %v %v %v", server.Kind, queue.Kind, work.Kind)
	}
	if want := "00-" + clientTrace + "-" + hex.EncodeToString(work.SpanId) + "-01"; toApp != want {
		t.Errorf("traceparent for the app = %s, want %s", toApp, want)
	}
	if stateToApp != "vendor=1,other=2" || server.TraceState != stateToApp {
		t.Errorf("tracestate for the app = %q, exported %q", stateToApp, server.TraceState)
	}
	for _, row := range []struct {
		s          *pb.Span
		begin, end time.Duration
	}{{queue, time.Millisecond, 20 * time.Millisecond}, {work, 20 * time.Millisecond, 900 * time.Millisecond}} {
		if row.s.StartTimeUnixNano != uint64(t0.Add(row.begin).UnixNano()) || row.s.EndTimeUnixNano != uint64(t0.Add(row.end).UnixNano()) {
			t.Errorf("times of %s are wrong", row.s.Name)
		}
	}
	if server.StartTimeUnixNano != uint64(t0.UnixNano()) || server.EndTimeUnixNano < work.EndTimeUnixNano {
		t.Error("times of the server span are wrong")
	}
	want := map[string]any{
		"http.request.method": "POST", "url.scheme": "https", "url.path": "/cart",
		"server.address": "shop.example.com", "server.port": int64(8443), "client.address": "203.0.113.9",
		"network.protocol.version": "2", "user_agent.original": "curl/8", "http.route": "/", "headgate.site": "shop",
		"http.response.status_code": int64(502), "error.type": "no_answer",
	}
	if d := cmp.Diff(want, attributes(server.Attributes)); d != "" {
		t.Errorf("attributes of the server span (-want +got):\n%s", d)
	}
	if server.Status.Code != pb.Status_STATUS_CODE_ERROR || server.Status.Message != "pool web: closed without an answer" {
		t.Errorf("status = %v", server.Status)
	}
	if d := cmp.Diff(map[string]any{"waiting": int64(3)}, attributes(queue.Attributes)); d != "" {
		t.Errorf("attributes of queue (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]any{"member": "unix:/run/a.sock", "error.type": "no_answer"}, attributes(work.Attributes)); d != "" {
		t.Errorf("attributes of worker (-want +got):\n%s", d)
	}
}

func TestStatusOfTheSpan(t *testing.T) {
	for _, row := range []struct {
		status    int
		kind      string
		want      pb.Status_StatusCode
		errorType any
	}{
		{200, "", pb.Status_STATUS_CODE_UNSET, nil},
		{404, "", pb.Status_STATUS_CODE_UNSET, nil},
		{500, "", pb.Status_STATUS_CODE_ERROR, "500"},
		{200, "cut", pb.Status_STATUS_CODE_ERROR, "cut"},
		{0, "", pb.Status_STATUS_CODE_ERROR, "_OTHER"},
	} {
		c := newCollector(t)
		tr, flush := newTracer(t, tracing.Options{Endpoint: c.URL}, nil)
		tr.Start(tracing.Request{Method: "GET"}).End(row.status, row.kind, nil)
		flush()
		s := c.span(t, "GET")
		if got := attributes(s.Attributes)["error.type"]; s.GetStatus().GetCode() != row.want || got != row.errorType {
			t.Errorf("%d %q: status %v, error.type %v", row.status, row.kind, s.GetStatus().GetCode(), got)
		}
	}
}

func TestInvalidTraceparentBeginsATrace(t *testing.T) {
	c := newCollector(t)
	tr, _ := newTracer(t, tracing.Options{Endpoint: c.URL}, nil)
	valid := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$`)
	for _, parent := range []string{
		"", "x", "00", clientParent + "-00", "ff-" + clientTrace + "-" + clientSpan + "-01",
		"00-" + strings.ToUpper(clientTrace) + "-" + clientSpan + "-01",
		"00-" + strings.Repeat("0", 32) + "-" + clientSpan + "-01",
		"00-" + clientTrace + "-" + strings.Repeat("0", 16) + "-01",
		"00-" + clientTrace + "-" + clientSpan, strings.Repeat("-", 1<<16), "00-\xff" + clientTrace[1:] + "-" + clientSpan + "-01",
	} {
		s := tr.Start(tracing.Request{Traceparent: parent, Tracestate: "a=b", Method: "GET"})
		if got := s.TraceParent(); !valid.MatchString(got) || strings.Contains(got, clientTrace) {
			t.Errorf("%.60q: traceparent for the app = %q, want one of a new trace", parent, got)
		}
		if s.TraceState() != "" {
			t.Errorf("%.60q: the state of a trace that was not taken is passed on", parent)
		}
		s.End(200, "", nil)
	}
	s := tr.Start(tracing.Request{Traceparent: clientParent, Tracestate: "not valid;;"})
	if s.TraceID() != clientTrace || s.TraceState() != "" {
		t.Errorf("an invalid tracestate: trace %s, state %q; want the client's trace without a state", s.TraceID(), s.TraceState())
	}
	s.End(200, "", nil)
	s = tr.Start(tracing.Request{Traceparent: "cc-" + clientTrace + "-" + clientSpan + "-01-what-the-future-says"})
	if got := s.TraceParent(); !strings.HasPrefix(got, "00-"+clientTrace) {
		t.Errorf("traceparent of a later version: %s, want the client's trace in version 00", got)
	}
	s.End(200, "", nil)
}

func TestSamplingFollowsTheClient(t *testing.T) {
	c := newCollector(t)
	tr, flush := newTracer(t, tracing.Options{Endpoint: c.URL, SampleRatio: -1}, nil)
	s := tr.Start(tracing.Request{Method: "GET", Path: "/not"})
	if !strings.HasSuffix(s.TraceParent(), "-00") || len(s.TraceID()) != 32 {
		t.Errorf("traceparent of a trace that is not sampled: %s", s.TraceParent())
	}
	b := s.Begin("worker", time.Now())
	if !strings.HasSuffix(b.TraceParent(), "-00") || b.TraceID() != s.TraceID() {
		t.Errorf("traceparent below a trace that is not sampled: %s", b.TraceParent())
	}
	b.Finish(time.Now(), "", nil)
	s.Child("queue", time.Now(), time.Now())
	s.SetRoute("a", "b")
	s.End(200, "", nil)
	tr.Start(tracing.Request{Traceparent: clientParent, Method: "PUT"}).End(200, "", nil)
	flush()
	if got := c.spans(); len(got) != 1 || got[0].Name != "PUT" {
		t.Errorf("exported %v, want the one that the client samples", got)
	}
}

func TestClientCannotSpoilABatch(t *testing.T) {
	c := newCollector(t)
	tr, flush := newTracer(t, tracing.Options{Endpoint: c.URL}, nil)
	bad := "/\xff\xfe" + strings.Repeat("é\xbf", 1<<15)
	s := tr.Start(tracing.Request{Method: "BR\xffW", Path: bad, Host: bad, UserAgent: bad, Proto: bad, Scheme: bad})
	s.SetRoute(bad, bad)
	s.Set(tracing.String("x", bad))
	s.End(500, bad, errors.New(bad))
	tr.Start(tracing.Request{Method: "GET"}).End(200, "", nil)
	flush()
	c.span(t, "GET")
	if n := len(c.spans()); n != 2 {
		t.Fatalf("%d spans exported, want 2", n)
	}
	for _, s := range c.spans() {
		for k, v := range attributes(s.Attributes) {
			if text, ok := v.(string); ok && (len(text) > 4096 || !utf8.ValidString(text)) {
				t.Errorf("%s has %d bytes", k, len(text))
			}
		}
		if s.Name != "GET" && (!strings.HasPrefix(s.Name, "HTTP /") || attributes(s.Attributes)["http.request.method"] != "_OTHER") {
			t.Errorf("a client's own method makes the name %.40q", s.Name)
		}
	}
}

func FuzzTraceContext(f *testing.F) {
	tr, err := tracing.New(f.Context(), tracing.Options{Endpoint: "http://127.0.0.1:1", SampleRatio: -1}, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = tr.Shutdown(f.Context()) })
	valid := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$`)
	f.Add(clientParent, "a=b")
	f.Add("", "")
	f.Add("cc-"+clientTrace+"-"+clientSpan+"-ff-x", "a=b,c@d=e")
	f.Fuzz(func(t *testing.T, parent, state string) {
		s := tr.Start(tracing.Request{Traceparent: parent, Tracestate: state, Method: "GET"})
		defer s.End(200, "", nil)
		if got := s.TraceParent(); !valid.MatchString(got) {
			t.Errorf("traceparent %q", got)
		}
		again := tr.Start(tracing.Request{Traceparent: s.TraceParent(), Tracestate: s.TraceState()})
		if again.TraceID() != s.TraceID() || again.TraceState() != s.TraceState() {
			t.Errorf("what is passed on is not what is taken: %q %q", s.TraceState(), again.TraceState())
		}
		again.End(200, "", nil)
	})
}

func TestOffAllocatesNothing(t *testing.T) {
	var tr *tracing.Tracer
	now := time.Now()
	n := testing.AllocsPerRun(100, func() { request(tr, now) })
	if n != 0 {
		t.Errorf("%v allocations per request when off, want 0", n)
	}
	if s := tr.Start(tracing.Request{}); s != nil || s.TraceID() != "" || s.TraceParent() != "" || s.TraceState() != "" {
		t.Error("a nil tracer makes spans")
	}
	if tr.Shutdown(t.Context()) != nil || tr.Dropped() != 0 {
		t.Error("a nil tracer does something")
	}
}

// request does what the gateway does for one request.
func request(tr *tracing.Tracer, now time.Time) {
	s := tr.Start(tracing.Request{Traceparent: clientParent, Start: now, Method: "GET", Host: "a", Path: "/"})
	s.SetRoute("shop", "/")
	s.Child("queue", now, now, tracing.Int("waiting", 3))
	w := s.Begin("worker", now, tracing.String("member", "a"), tracing.String("pool", "b"))
	_ = w.TraceParent()
	w.Finish(now, "", nil)
	s.Set(tracing.Int("retries", 1))
	s.End(200, "", nil)
}

func BenchmarkRequest(b *testing.B) {
	now := time.Now()
	run := func(name string, o *tracing.Options) {
		b.Run(name, func(b *testing.B) {
			var tr *tracing.Tracer
			if o != nil {
				var err error
				if tr, err = tracing.New(b.Context(), *o, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				request(tr, now)
			}
			b.StopTimer()
			_ = tr.Shutdown(b.Context())
		})
	}
	run("off", nil)
	run("unsampled", &tracing.Options{Endpoint: "http://127.0.0.1:1", Sampler: "always_off"})
	run("sampled", &tracing.Options{Endpoint: "http://127.0.0.1:1"})
}
