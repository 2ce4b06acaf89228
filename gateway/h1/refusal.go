package h1

import (
	"fmt"
	"net/http"
	"strings"

	"headgate/gateway/wire"
)

type refusal = wire.Refusal

// shown is how much of what the client sent a cause shows.
const shown = 100

func short(s string) string {
	if len(s) > shown {
		return fmt.Sprintf("%q...", s[:shown])
	}
	return fmt.Sprintf("%q", s)
}

// notHTTP refuses bytes that begin no request.
func notHTTP(b []byte, secure bool) *refusal {
	if len(b) > 0 && b[0] == 0x16 && !secure { // a TLS record of a handshake (RFC 8446, 5.1)
		return &refusal{
			Status: http.StatusBadRequest, Kind: "tls_on_plain", Cause: "the client speaks TLS, and this port does not",
			Cure: "write http:// in place of https://, or use the port for TLS",
		}
	}
	return badLine("it does not begin with a method and a space")
}

func badLine(why string) *refusal {
	return &refusal{Status: http.StatusBadRequest, Kind: "request_line", Cause: "the first line of the request is not valid: " + why}
}

func badVersion(v string) *refusal {
	return &refusal{
		Status: http.StatusHTTPVersionNotSupported, Kind: "version", Cause: "the version " + v + " of HTTP is not served in this form",
		Cure: "use HTTP/1.1",
	}
}

func badTarget(why string) *refusal {
	return &refusal{Status: http.StatusBadRequest, Kind: "target", Cause: "the target of the request is not valid: " + why}
}

func lineTooLong(n int) *refusal {
	return &refusal{
		Status: http.StatusRequestURITooLong, Kind: "uri_bytes", Cause: fmt.Sprintf("the first line of the request has more than %d bytes", n),
		Cure: "send long data in the body",
	}
}

func headTooLong(n int) *refusal {
	return &refusal{
		Status: http.StatusRequestHeaderFieldsTooLarge, Kind: "header_bytes", Cause: fmt.Sprintf("the head of the request has more than %d bytes", n),
		Cure: "send smaller header fields",
	}
}

func tooManyFields(most int) *refusal {
	return &refusal{
		Status: http.StatusRequestHeaderFieldsTooLarge, Kind: "headers", Cause: fmt.Sprintf("the header has more than %d fields", most),
		Cure: "send fewer header fields",
	}
}

func badHeader(why string) *refusal {
	return &refusal{Status: http.StatusBadRequest, Kind: "header", Cause: "the header of the request is not valid: " + why}
}

func bareLF() *refusal { return badHeader("a line does not end in CR and LF") }

// badName says what is wrong with a line whose first i bytes alone are of a name.
func badName(line []byte, i int) *refusal {
	switch {
	case i == 0 && len(line) > 0 && (line[0] == ' ' || line[0] == '\t'):
		return badHeader("a line begins with a space (folded fields are not accepted)")
	case i == len(line):
		return badHeader("the line " + short(string(line)) + " has no colon")
	case i > 0 && (line[i] == ' ' || line[i] == '\t') && strings.HasPrefix(strings.TrimLeft(string(line[i:]), " \t"), ":"):
		return badHeader("there is a space between the name " + short(string(line[:i])) + " and its colon")
	}
	return badHeader("the line " + short(string(line)) + " has no valid name")
}

func badValue(name string) *refusal {
	return badHeader("the value of " + short(name) + " has control bytes")
}

func badHost(why string) *refusal {
	return &refusal{Status: http.StatusBadRequest, Kind: "host", Cause: "the host is not valid: " + why}
}

func otherHost(host, authority string) *refusal {
	return &refusal{
		Status: http.StatusBadRequest, Kind: "host",
		Cause: fmt.Sprintf("the Host field %s and the authority %s do not agree", short(host), short(authority)),
	}
}

func badLength(v string) *refusal {
	return &refusal{Status: http.StatusBadRequest, Kind: "framing", Cause: "the length of the body is not valid: Content-Length: " + short(v)}
}

func badCoding(why string) *refusal {
	return &refusal{Status: http.StatusBadRequest, Kind: "framing", Cause: "the framing of the body is not valid: " + why}
}

// unknownCoding is 501 for a coding that we do not know (RFC 9112, 6.1).
func unknownCoding(v string) *refusal {
	if v == "" || strings.Contains(strings.ToLower(v), "chunked") {
		return badCoding("Transfer-Encoding: " + short(v))
	}
	return &refusal{
		Status: http.StatusNotImplemented, Kind: "framing", Cause: "the coding of the body is not known: Transfer-Encoding: " + short(v),
		Cure: "use chunked alone",
	}
}
