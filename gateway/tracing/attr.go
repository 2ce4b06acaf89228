package tracing

import (
	"net"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Attr is an attribute of a span; make it with String or Int.
type Attr struct {
	key    string
	text   string
	number int64
	isText bool
}

// String returns an attribute with a string.
func String(key, value string) Attr { return Attr{key: key, text: value, isText: true} }

// Int returns an attribute with a number.
func Int(key string, value int64) Attr { return Attr{key: key, number: value} }

func keyValues(attrs []Attr) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		if a.isText {
			out = append(out, attribute.String(a.key, clean(a.text)))
		} else {
			out = append(out, attribute.Int64(a.key, a.number))
		}
	}
	return out
}

// requestAttributes returns the attributes of a server span, by the conventions
// for HTTP.
func requestAttributes(r Request, method string, known bool) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, 10)
	add := func(key attribute.Key, value string) {
		if value != "" {
			out = append(out, key.String(clean(value)))
		}
	}
	if known {
		add(semconv.HTTPRequestMethodKey, method)
	} else {
		add(semconv.HTTPRequestMethodKey, "_OTHER")
		add(semconv.HTTPRequestMethodOriginalKey, r.Method)
	}
	host, port := splitHost(r.Host)
	add(semconv.URLSchemeKey, r.Scheme)
	add(semconv.URLPathKey, r.Path)
	add(semconv.ServerAddressKey, host)
	if port > 0 {
		out = append(out, semconv.ServerPort(port))
	}
	if r.Client.IsValid() {
		add(semconv.ClientAddressKey, r.Client.WithZone("").String())
	}
	add(semconv.NetworkProtocolVersionKey, protocolVersion(r.Proto))
	add(semconv.UserAgentOriginalKey, r.UserAgent)
	return out
}

// knownMethod returns the name of a span with that method, "HTTP" for one that
// only a client could have thought of: names are few.
func knownMethod(method string) (name string, known bool) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY":
		return method, true
	}
	return "HTTP", false
}

// splitHost splits a Host header; port 0 says that there is none.
func splitHost(s string) (host string, port int) {
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return strings.Trim(s, "[]"), 0
	}
	port, err = strconv.Atoi(digits)
	if err != nil || port < 0 || port > 65535 {
		port = 0
	}
	return host, port
}

// protocolVersion returns "1.1" for "HTTP/1.1", and "2" for "HTTP/2.0".
func protocolVersion(proto string) string {
	v, ok := strings.CutPrefix(proto, "HTTP/")
	if !ok {
		return ""
	}
	if major, minor, _ := strings.Cut(v, "."); major != "1" && minor == "0" {
		return major
	}
	return v
}

// errorType returns error.type for a response without a better reason.
func errorType(status int) string {
	if status == 0 {
		return "_OTHER"
	}
	return strconv.Itoa(status)
}

// clean returns s as UTF-8 and not too long. One byte that is not UTF-8 would
// make the whole batch impossible to encode, and clients choose paths.
func clean(s string) string { return shorten(s, maxValue) }

// shorten returns at most n bytes of s as UTF-8.
func shorten(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
