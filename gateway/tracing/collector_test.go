package tracing_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"headgate/gateway/tracing"
)

// collectorServer is an OTLP collector that keeps what it gets.
type collectorServer struct {
	*httptest.Server

	mu       sync.Mutex
	status   int // answers with it, when not 0
	requests []*http.Request
	batches  []*collector.ExportTraceServiceRequest
}

func newCollector(t *testing.T) *collectorServer {
	c := new(collectorServer)
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collectorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	raw, err := io.ReadAll(body)
	batch := new(collector.ExportTraceServiceRequest)
	if err == nil {
		err = proto.Unmarshal(raw, batch)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if c.status != 0 {
		w.WriteHeader(c.status)
		return
	}
	c.batches = append(c.batches, batch)
}

func (c *collectorServer) answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

func (c *collectorServer) spans() []*pb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*pb.Span
	for _, b := range c.batches {
		for _, rs := range b.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				out = append(out, ss.Spans...)
			}
		}
	}
	return out
}

// span returns the only span called name.
func (c *collectorServer) span(t *testing.T, name string) *pb.Span {
	t.Helper()
	var found *pb.Span
	for _, s := range c.spans() {
		if s.Name == name {
			if found != nil {
				t.Fatalf("two spans are called %q", name)
			}
			found = s
		}
	}
	if found == nil {
		t.Fatalf("no span is called %q among %v", name, c.spans())
	}
	return found
}

// attributes returns the attributes as strings and int64s.
func attributes(kvs []*common.KeyValue) map[string]any {
	out := make(map[string]any)
	for _, kv := range kvs {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			out[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			out[kv.Key] = v.IntValue
		default:
			out[kv.Key] = v
		}
	}
	return out
}

// environ is a fake environment.
func environ(vars map[string]string) tracing.LookupEnv {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// newTracer returns a tracer, which must be on, and a function that flushes it.
func newTracer(t *testing.T, o tracing.Options, vars map[string]string) (tr *tracing.Tracer, flush func()) {
	t.Helper()
	tr, err := tracing.New(t.Context(), o, environ(vars), nil)
	if err != nil {
		t.Fatal(err)
	}
	if tr == nil {
		t.Fatal("tracing is off")
	}
	flush = func() {
		if err := tr.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(flush)
	return tr, flush
}

// buffer is a log that may be read while others write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
