package origin

import (
	"net/http"
	"net/textproto"
	"strings"
)

// plain reports whether a field's name has letters, digits and "-" alone.
func plain(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return name != ""
}

// stays reports whether a field never goes on to the member. It belongs to the
// hop before the gateway, or frames the request, or says what the gateway says
// itself, or is an attack: Proxy directs the requests that CGI-like apps make
// ("httpoxy"), and X-Forwarded-Ssl is taken for HTTPS.
func stays(name string) bool {
	switch name {
	case "Host", "Proxy", "Proxy-Authorization", "X-Forwarded-Ssl",
		"Content-Length", "Transfer-Encoding", "Expect", "Http2-Settings":
		return true
	}
	return ofHop(name)
}

// ofHop reports whether a field says what becomes of one connection (RFC 9110,
// 7.6.1).
func ofHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade":
		return true
	}
	return false
}

// vouched reports whether the gateway itself may have written a field. A client
// must not be able to take it away by naming it in Connection.
func vouched(name string) bool {
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Request-Id", "Traceparent", "Tracestate":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// header returns the fields that the member gets.
func (r *Request) header() http.Header {
	h := make(http.Header, 16)
	var listed []string // in Connection
	if r.Header != nil {
		r.Header.Range(func(name, value string) bool {
			if name = textproto.CanonicalMIMEHeaderKey(name); name == "Connection" {
				listed = append(listed, value)
			}
			if plain(name) && !stays(name) {
				take(h, name, value)
			}
			return true
		})
	}
	for name := range tokens(listed) {
		if !vouched(name) {
			delete(h, name)
		}
	}
	for _, f := range r.Extra {
		h[textproto.CanonicalMIMEHeaderKey(f.Name)] = []string{f.Value}
	}
	return h
}

// take adds a field. One that cannot be repeated is not.
func take(h http.Header, name, value string) {
	have := h[name]
	switch {
	case have == nil:
		h[name] = []string{value}
	case name == "Cookie": // RFC 9113, 8.2.3
		have[0] += "; " + value
	case name == "Content-Type":
	default:
		h[name] = append(have, value)
	}
}

// tokens yields the names that values of Connection list.
func tokens(values []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, value := range values {
			for token := range strings.SplitSeq(value, ",") {
				if !yield(textproto.CanonicalMIMEHeaderKey(strings.Trim(token, " \t"))) {
					return
				}
			}
		}
	}
}

// forClient takes out of a response's header what is not meant for the client.
// Where Connection says close, net/http has taken it away, and what else it
// listed is not known.
func forClient(h http.Header) {
	for name := range tokens(h["Connection"]) {
		delete(h, name)
	}
	for name := range h {
		if ofHop(name) || name == "Content-Length" || name == "Transfer-Encoding" {
			delete(h, name)
		}
	}
}

// fault returns what is wrong with the fields of a response, or "".
func fault(h http.Header) (cause, cure string) {
	count := 0
	for name, values := range h {
		if count += len(values); count > maxFields {
			return "the response has more than 512 header fields", "the app sends too many headers"
		}
		if !isToken(name) { // net/http lets spaces pass
			return "a byte that no header's name may have in " + short(name), ""
		}
		for _, v := range values {
			if hasControl(v) {
				return "a byte that no header may have in the value of " + short(name), ""
			}
		}
	}
	return "", ""
}

func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}
