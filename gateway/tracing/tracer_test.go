package tracing_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/gateway/tracing"
)

func TestOffWithoutAnEndpoint(t *testing.T) {
	const url = "http://127.0.0.1:4318"
	for name, row := range map[string]struct {
		o    tracing.Options
		vars map[string]string
		log  string
	}{
		"nothing":         {},
		"only a name":     {o: tracing.Options{ServiceName: "a"}, vars: map[string]string{"OTEL_SERVICE_NAME": "b"}},
		"disabled":        {o: tracing.Options{Endpoint: url}, vars: map[string]string{"OTEL_SDK_DISABLED": "TRUE"}, log: "OTEL_SDK_DISABLED"},
		"exporter none":   {vars: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": url}, log: "OTEL_TRACES_EXPORTER"},
		"invalid":         {vars: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, log: "not an http:// or https:// URL"},
		"empty":           {vars: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": ""}},
		"password within": {vars: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:secret@h"}, log: "write headers instead"},
	} {
		var log buffer
		tr, err := tracing.New(t.Context(), row.o, environ(row.vars), log.logger())
		if tr != nil || err != nil {
			t.Errorf("%s: New = %v, %v, want nil, nil", name, tr, err)
		}
		if got := log.String(); !strings.Contains(got, row.log) || row.log == "" && got != "" || strings.Contains(got, "secret") {
			t.Errorf("%s: log has %q, want %q", name, got, row.log)
		}
	}
}

func TestEnvironment(t *testing.T) {
	c := newCollector(t)
	for name, row := range map[string]struct {
		o    tracing.Options
		vars map[string]string
		path string
		head string
		res  map[string]any
	}{
		"base": {
			vars: map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL + "/otlp/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, other=1",
				"OTEL_SERVICE_NAME": "edge", "OTEL_RESOURCE_ATTRIBUTES": "zone=eu,service.name=lost,deployment.environment.name=pro%64",
				"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
			},
			path: "/otlp/v1/traces", head: "a b",
			res: map[string]any{"service.name": "edge", "zone": "eu", "deployment.environment.name": "prod"},
		},
		"traces": {
			vars: map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": c.URL,
				"OTEL_EXPORTER_OTLP_HEADERS": "x-key=no", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-key=yes",
			},
			path: "/", head: "yes", res: map[string]any{"service.name": "headgate", "telemetry.sdk.language": "go"},
		},
		"options win": {
			o: tracing.Options{Endpoint: c.URL, Headers: tracing.Headers{"X-Key": "file"}, ServiceName: "front", Attributes: map[string]string{"zone": "us"}},
			vars: map[string]string{
				"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=env",
				"OTEL_SERVICE_NAME": "edge", "OTEL_RESOURCE_ATTRIBUTES": "zone=eu,left=1",
			},
			path: "/v1/traces", head: "file", res: map[string]any{"service.name": "front", "zone": "us", "left": "1"},
		},
		"whole path": {o: tracing.Options{Endpoint: c.URL + "/a/v1/traces"}, path: "/a/v1/traces"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.batches)
			tr, flush := newTracer(t, row.o, row.vars)
			tr.Start(tracing.Request{Method: "GET"}).End(200, "", nil)
			flush()
			if len(c.batches) != before+1 {
				t.Fatalf("%d batches came, want 1", len(c.batches)-before)
			}
			r := c.requests[before]
			if r.URL.Path != row.path || r.Header.Get("X-Key") != row.head {
				t.Errorf("posted to %s with x-key %q, want %s with %q", r.URL.Path, r.Header.Get("X-Key"), row.path, row.head)
			}
			got := attributes(c.batches[before].ResourceSpans[0].Resource.Attributes)
			for k, want := range row.res {
				if got[k] != want {
					t.Errorf("resource has %s=%v, want %v", k, got[k], want)
				}
			}
		})
	}
}

func TestSamplerOfTheEnvironment(t *testing.T) {
	for _, row := range []struct {
		o            tracing.Options
		sampler, arg string
		alone, child bool // is a new trace sampled, and one that the client samples
		log          string
	}{
		{sampler: "", alone: true, child: true},
		{sampler: "always_off", alone: false, child: false},
		{sampler: "PARENTBASED_ALWAYS_OFF", alone: false, child: true},
		{sampler: "traceidratio", arg: "0", alone: false, child: false},
		{arg: "0.0", alone: false, child: true},
		{arg: "2", alone: true, child: true, log: "OTEL_TRACES_SAMPLER_ARG"},
		{sampler: "jaeger_remote", alone: true, child: true, log: "OTEL_TRACES_SAMPLER"},
		{o: tracing.Options{Sampler: "always_on"}, sampler: "always_off", alone: true, child: true},
		{o: tracing.Options{SampleRatio: 1}, sampler: "always_off", arg: "0", alone: true, child: true},
	} {
		var log buffer
		row.o.Endpoint = "http://127.0.0.1:1"
		tr, err := tracing.New(t.Context(), row.o, environ(map[string]string{"OTEL_TRACES_SAMPLER": row.sampler, "OTEL_TRACES_SAMPLER_ARG": row.arg}), log.logger())
		if err != nil {
			t.Fatal(err)
		}
		alone := strings.HasSuffix(tr.Start(tracing.Request{}).TraceParent(), "1")
		child := strings.HasSuffix(tr.Start(tracing.Request{Traceparent: clientParent}).TraceParent(), "1")
		if alone != row.alone || child != row.child {
			t.Errorf("%+v: sampled %v and %v", row, alone, child)
		}
		if got := strings.Contains(log.String(), "variable ignored"); got != (row.log != "") || !strings.Contains(log.String(), row.log) {
			t.Errorf("%+v: log has %s", row, log.String())
		}
		if err := tr.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, row := range []struct {
		o    tracing.Options
		want string
	}{
		{tracing.Options{Endpoint: "https://c.example/x", Sampler: "parentbased_always_on", SampleRatio: 0.5, Timeout: time.Second}, ""},
		{tracing.Options{Endpoint: "localhost:4318"}, "endpoint: not an http"},
		{tracing.Options{Endpoint: "http://u:secret@h"}, "headers instead"},
		{tracing.Options{Endpoint: "http://h?k=secret"}, "has a query"},
		{tracing.Options{Endpoint: "http://u:secret@h\x7f"}, "not a URL"},
		{tracing.Options{Headers: tracing.Headers{"a b": "secret"}}, `"a b" is not the name of a header`},
		{tracing.Options{Headers: tracing.Headers{"a": "secret\r\nb: c"}}, "line break"},
		{tracing.Options{Sampler: "some"}, `sampler: "some" is not a sampler`},
		{tracing.Options{SampleRatio: 10}, "sample_ratio: 10 is not a share"},
		{tracing.Options{Timeout: -1}, "timeout: "},
		{tracing.Options{Attributes: map[string]string{"": "x"}}, "attributes: "},
	} {
		err := row.o.Validate()
		if got := fmt.Sprint(err); (err == nil) != (row.want == "") || err != nil && !strings.Contains(got, row.want) || strings.Contains(got, "secret") {
			t.Errorf("Validate(%+v) = %v, want %q", row.o, err, row.want)
		}
		tr, err := tracing.New(t.Context(), row.o, nil, nil)
		if (err == nil) != (row.want == "") {
			t.Errorf("New(%+v) = %v", row.o, err)
		}
		if err := tr.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestHeadersHideTheirValues(t *testing.T) {
	o := tracing.Options{Headers: tracing.Headers{"authorization": "secret"}}
	var log buffer
	log.logger().Info("options", "headers", o.Headers, "all", o)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("options", "headers", o.Headers)
	for _, s := range []string{log.String(), fmt.Sprint(o), fmt.Sprintf("%+v %#v %s", o, o, o.Headers)} {
		if strings.Contains(s, "secret") || !strings.Contains(s, "authorization") {
			t.Errorf("headers print as %s", s)
		}
	}
}

func TestFailuresAreLoggedOnceAndRecoveryToo(t *testing.T) {
	c := newCollector(t)
	c.answer(http.StatusBadRequest)
	var log buffer
	tr, err := tracing.New(t.Context(), tracing.Options{Endpoint: c.URL}, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	batch := func() { // as many as the SDK sends at once
		for range 512 {
			tr.Start(tracing.Request{Method: "GET"}).End(200, "", nil)
		}
	}
	batch()
	until(t, func() bool { return tr.Dropped() == 512 })
	batch()
	until(t, func() bool { return tr.Dropped() == 1024 })
	c.answer(0)
	batch()
	until(t, func() bool { return len(c.spans()) == 512 })
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	got := log.String()
	if strings.Count(got, "spans not exported") != 1 || strings.Count(got, "exported again") != 1 || strings.Count(got, "dropped=512") != 2 {
		t.Errorf("log has\n%s", got)
	}
}

func TestCollectorThatHangsBlocksNobody(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hang)
	tr, err := tracing.New(t.Context(), tracing.Options{Endpoint: srv.URL}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 10_000 {
		tr.Start(tracing.Request{Method: "GET"}).End(200, "", nil)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("10000 requests took %v", d)
	}
	if n := tr.Dropped(); n < 10_000-4096 {
		t.Errorf("%d spans dropped, want all that the queue has no room for", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin = time.Now()
	if err := tr.Shutdown(ctx); err == nil || time.Since(begin) > 2*time.Second {
		t.Errorf("Shutdown = %v after %v, want an error soon", err, time.Since(begin))
	}
	if n := tr.Dropped(); n != 10_000 {
		t.Errorf("%d spans counted as dropped in the end, want all", n)
	}
}

func TestShutdownWithAContextThatHasEnded(t *testing.T) {
	c := newCollector(t)
	tr, err := tracing.New(t.Context(), tracing.Options{Endpoint: c.URL}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.Start(tracing.Request{}).End(200, "", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = tr.Shutdown(ctx) // goleak tells whether it stopped
	s := tr.Start(tracing.Request{Traceparent: clientParent})
	s.End(200, "", nil)
	if s.TraceID() != clientTrace {
		t.Errorf("a span after the end has trace %q, want to pass on the client's", s.TraceID())
	}
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Errorf("second Shutdown = %v", err)
	}
}

func TestCollectorDown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	var log buffer
	tr, err := tracing.New(t.Context(), tracing.Options{Endpoint: url, Headers: tracing.Headers{"authorization": "secret"}}, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	tr.Start(tracing.Request{}).End(200, "", nil)
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := log.String(); !strings.Contains(got, "connection refused") || strings.Contains(got, "secret") || tr.Dropped() != 1 {
		t.Errorf("dropped %d, log has %s", tr.Dropped(), got)
	}
}

func TestCollectorWithAPrivateCA(t *testing.T) {
	c := new(collectorServer)
	c.Server = httptest.NewTLSServer(c)
	defer c.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, flush := newTracer(t, tracing.Options{Endpoint: c.URL, CA: ca}, nil)
	tr.Start(tracing.Request{Method: "GET"}).End(200, "", nil)
	flush()
	c.span(t, "GET")
	if _, err := tracing.New(t.Context(), tracing.Options{Endpoint: c.URL, CA: ca + "x"}, nil, nil); err == nil {
		t.Error("a CA file that is missing is no error")
	}
}

// until waits until done.
func until(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("it never happened")
		}
	}
}
