package tracing

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options describe where spans go, under the key `tracing`. The zero value does
// what the OTEL_* variables say, and without an endpoint there nothing at all.
type Options struct {
	Endpoint    string            `yaml:"endpoint"`     // of the collector: "http://127.0.0.1:4318"; "": OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT
	Headers     Headers           `yaml:"headers"`      // sent to the collector; none: OTEL_EXPORTER_OTLP_HEADERS
	ServiceName string            `yaml:"service_name"` // "": OTEL_SERVICE_NAME, then "headgate"
	Attributes  map[string]string `yaml:"attributes"`   // of the resource, on top of OTEL_RESOURCE_ATTRIBUTES
	Sampler     string            `yaml:"sampler"`      // "always_on", "always_off", "traceidratio", or one of them after "parentbased_"; "": OTEL_TRACES_SAMPLER, then parentbased_traceidratio
	SampleRatio float64           `yaml:"sample_ratio"` // share of the traces that a ratio sampler begins; 0: OTEL_TRACES_SAMPLER_ARG, then 1; negative: none
	Timeout     time.Duration     `yaml:"timeout"`      // of one export; 0: OTEL_EXPORTER_OTLP_TIMEOUT, then 10 s
	CA          string            `yaml:"ca"`           // PEM file with the roots to trust; "": OTEL_EXPORTER_OTLP_CERTIFICATE, then the system's
}

// Headers are headers for the collector. They tend to be keys, so that they log
// and print without their values.
type Headers map[string]string

// LogValue returns the names.
func (h Headers) LogValue() slog.Value { return slog.StringValue(h.String()) }

// String returns the names.
func (h Headers) String() string {
	return strings.Join(slices.Sorted(maps.Keys(h)), ",")
}

// GoString returns the names.
func (h Headers) GoString() string { return h.String() }

// Validate reports every value that Options cannot have. It does not look at the
// environment, nor at files.
func (o Options) Validate() error {
	var errs []error
	if o.Endpoint != "" {
		if _, err := parseEndpoint(o.Endpoint); err != nil {
			errs = append(errs, fmt.Errorf("endpoint: %w", err))
		}
	}
	for name, value := range o.Headers {
		if !token(name) {
			errs = append(errs, fmt.Errorf("headers: %q is not the name of a header", name))
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			errs = append(errs, fmt.Errorf("headers: the value of %s has a line break", name))
		}
	}
	for key := range o.Attributes {
		if key == "" {
			errs = append(errs, errors.New("attributes: a key is empty"))
		}
	}
	if _, err := newSampler(o.Sampler, o.SampleRatio); err != nil {
		errs = append(errs, err)
	}
	if o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout: %v is negative: write a duration as 10s", o.Timeout))
	}
	return errors.Join(errs...)
}

// parseEndpoint parses the URL of a collector.
func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("not a URL: write it as http://127.0.0.1:4318") // the error would repeat a password
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("not an http:// or https:// URL: write it as http://127.0.0.1:4318")
	case u.User != nil:
		return nil, errors.New("has a user or password in it: write headers instead")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has a query or a fragment: take it away")
	}
	return u, nil
}

// token reports whether s can be the name of a header (RFC 9110, 5.6.2).
func token(s string) bool {
	for _, c := range []byte(s) {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
