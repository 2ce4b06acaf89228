package tracing

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// LookupEnv finds a variable of the environment, as os.LookupEnv does.
type LookupEnv func(name string) (value string, ok bool)

// environment reads the OTEL_* variables. The specification wants what it cannot
// read to be reported and ignored: tracing shall never keep a server from
// starting.
type environment struct {
	lookup LookupEnv
	log    *slog.Logger
}

// get returns a variable; one that is empty counts as not set.
func (e environment) get(name string) string {
	if e.lookup == nil {
		return ""
	}
	v, _ := e.lookup(name)
	return strings.TrimSpace(v)
}

// otlp returns OTEL_EXPORTER_OTLP_TRACES_key, or OTEL_EXPORTER_OTLP_key, and
// which of them it was.
func (e environment) otlp(key string) (value, name string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + key, "OTEL_EXPORTER_OTLP_" + key} {
		if v := e.get(name); v != "" {
			return v, name
		}
	}
	return "", ""
}

func (e environment) ignored(name string, err error) {
	e.log.Warn("environment variable ignored", "name", name, "err", err)
}

// off says why the environment wants no tracing; "" when it does not say so.
func (e environment) off() string {
	if strings.EqualFold(e.get("OTEL_SDK_DISABLED"), "true") {
		return "OTEL_SDK_DISABLED=true"
	}
	if e.get("OTEL_TRACES_EXPORTER") == "none" {
		return "OTEL_TRACES_EXPORTER=none"
	}
	return ""
}

// endpoint returns the URL to post to; nil when there is none.
func (e environment) endpoint() *url.URL {
	value, name := e.otlp("ENDPOINT")
	if value == "" {
		return nil
	}
	u, err := parseEndpoint(value)
	if err != nil {
		e.ignored(name, err)
		return nil
	}
	if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		return u.JoinPath("v1", "traces")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u
}

// headers returns the headers for the collector.
func (e environment) headers() Headers {
	value, name := e.otlp("HEADERS")
	h, err := parsePairs(value)
	if err != nil {
		e.ignored(name, err)
	}
	for k, v := range h {
		if !token(k) || strings.ContainsAny(v, "\r\n\x00") {
			e.ignored(name, errors.New("a header in it is not valid"))
			return nil
		}
	}
	return h
}

// attributes returns the attributes of the resource.
func (e environment) attributes() map[string]string {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	attrs, err := parsePairs(e.get(name))
	if err != nil {
		e.ignored(name, err)
	}
	return attrs
}

// sampler returns the sampler's name, and its ratio as Options have it.
func (e environment) sampler() (name string, ratio float64) {
	const nameKey, ratioKey = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	name = strings.ToLower(e.get(nameKey))
	if _, err := newSampler(name, 0); err != nil {
		e.ignored(nameKey, err)
		return "", 0
	}
	arg := e.get(ratioKey)
	if arg == "" {
		return name, 0
	}
	ratio, err := strconv.ParseFloat(arg, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		e.ignored(ratioKey, fmt.Errorf("%q is not a number from 0 to 1", arg))
		return name, 0
	}
	if ratio == 0 {
		ratio = -1
	}
	return name, ratio
}

// timeout returns the time for one export, 0 when it is not set.
func (e environment) timeout() time.Duration {
	value, name := e.otlp("TIMEOUT")
	if value == "" {
		return 0
	}
	ms, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		e.ignored(name, fmt.Errorf("%q is not a number of milliseconds", value))
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// json reports whether spans are to be sent as JSON.
func (e environment) json() bool {
	value, name := e.otlp("PROTOCOL")
	switch value {
	case "", "http/protobuf":
		return false
	case "http/json":
		return true
	}
	e.ignored(name, fmt.Errorf("%q is not spoken: http/protobuf is used; a collector listens for that on port 4318, and for grpc on 4317", value))
	return false
}

// parsePairs parses "key=value,key=value" with percent-encoded values. It
// returns the pairs it could read beside its error, which shows no value.
func parsePairs(s string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	pairs := make(map[string]string)
	var err error
	for pair := range strings.SplitSeq(s, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			err = errors.New("a part of it is not key=value")
			continue
		}
		if decoded, bad := url.PathUnescape(value); bad == nil {
			value = decoded
		}
		pairs[key] = value
	}
	return pairs, err
}
