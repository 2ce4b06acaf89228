package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// settings are Options and environment made one.
type settings struct {
	endpoint *url.URL
	headers  Headers
	resource *resource.Resource
	sampler  sdktrace.Sampler
	timeout  time.Duration
	tls      *tls.Config
	gzip     bool
	json     bool
}

// resolve joins o and env for endpoint.
func resolve(endpoint *url.URL, o Options, env environment) (settings, error) {
	s := settings{
		endpoint: endpoint,
		headers:  o.Headers,
		resource: newResource(o, env),
		timeout:  o.Timeout,
		json:     env.json(),
	}
	if len(s.headers) == 0 {
		s.headers = env.headers()
	}
	if s.timeout == 0 {
		s.timeout = env.timeout()
	}
	if s.timeout == 0 {
		s.timeout = 10 * time.Second
	}
	compression, _ := env.otlp("COMPRESSION")
	s.gzip = compression == "gzip"

	name, ratio := o.Sampler, o.SampleRatio
	envName, envRatio := env.sampler()
	if name == "" && ratio == 0 { // a ratio of the file belongs to the default, not to a sampler of the environment
		name = envName
	}
	if ratio == 0 {
		ratio = envRatio
	}
	var err error
	if s.sampler, err = newSampler(name, ratio); err != nil {
		return settings{}, err
	}
	s.tls, err = newTLS(o, env)
	return s, err
}

// endpointOf returns the URL that spans are posted to; nil when there is none.
func endpointOf(o Options, env environment) (*url.URL, error) {
	if o.Endpoint == "" {
		return env.endpoint(), nil
	}
	u, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if !strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/v1/traces") {
		u = u.JoinPath("v1", "traces")
	}
	return u, nil
}

// newResource describes this process to the collector.
func newResource(o Options, env environment) *resource.Resource {
	all := map[string]string{
		"service.name":           "headgate",
		"telemetry.sdk.name":     "opentelemetry",
		"telemetry.sdk.language": "go",
		"telemetry.sdk.version":  sdk.Version(),
	}
	if host, err := os.Hostname(); err == nil {
		all["host.name"] = host
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		all["service.version"] = info.Main.Version
	}
	maps.Copy(all, env.attributes())
	maps.Copy(all, o.Attributes)
	for _, name := range []string{env.get("OTEL_SERVICE_NAME"), o.ServiceName} {
		if name != "" {
			all["service.name"] = name
		}
	}
	attrs := make([]attribute.KeyValue, 0, len(all))
	for k, v := range all {
		attrs = append(attrs, attribute.String(clean(k), clean(v)))
	}
	return resource.NewWithAttributes(semconv.SchemaURL, attrs...)
}

// newTLS returns how to speak https to the collector.
func newTLS(o Options, env environment) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	ca := o.CA
	if ca == "" {
		ca, _ = env.otlp("CERTIFICATE")
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s has no certificate in PEM form", ca)
		}
	}
	cert, _ := env.otlp("CLIENT_CERTIFICATE")
	key, _ := env.otlp("CLIENT_KEY")
	if cert != "" && key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
