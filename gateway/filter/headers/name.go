package headers

import (
	"errors"
	"fmt"
	"strings"

	"headgate/gateway/wire"
)

// maxName bounds the name of a field.
const maxName = 256

// tokenFault says what is wrong with a name, or the beginning of one.
func tokenFault(name string) error {
	switch {
	case name == "":
		return errors.New("has no name: write one such as X-Frame-Options")
	case len(name) > maxName:
		return fmt.Errorf("has a name of more than %d bytes: write a shorter one", maxName)
	case name[0] == ':':
		return fmt.Errorf("%q is no field, but a part of the head that HTTP/2 writes like one: leave it out", name)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q has a *, which stands for something only at the end of a name under remove: write the whole name", name)
	case strings.Contains(name, "_"):
		return fmt.Errorf("%q has an underscore, which an app cannot tell from a hyphen: write %s", name, strings.ReplaceAll(name, "_", "-"))
	}
	for i := range len(name) {
		if !isToken(name[i]) {
			return fmt.Errorf("%q is not the name of a field: write it with letters, digits and hyphens", name)
		}
	}
	return nil
}

// isToken reports whether c may be in a name or a method (RFC 9110, 5.6.2).
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// nameOfRequest reports a name that an operator cannot change in requests.
func nameOfRequest(name string) error {
	switch {
	case isHostField(name):
		return fmt.Errorf("%s decides which site and app a request is for, and stays as it came: leave it out", name)
	case onlyGateway(name):
		return fmt.Errorf("%s is what the gateway alone says of a request: leave it out", name)
	}
	return nameOfAnswer(name)
}

// nameOfAnswer reports a name that an operator cannot change in answers.
func nameOfAnswer(name string) error {
	if err := tokenFault(name); err != nil {
		return err
	}
	switch {
	case framing(name):
		return fmt.Errorf("%s belongs to the connection or frames the message, which the gateway does: leave it out", name)
	case wire.Same(name, "Date"):
		return fmt.Errorf("%s is written by whoever answers: leave it out", name)
	case beginsWith(name, "X-Headgate-"):
		return fmt.Errorf("%s is between the gateway and the app: leave it out", name)
	}
	return nil
}

// framing reports whether a field frames messages or belongs to one connection.
func framing(name string) bool {
	for _, other := range [...]string{
		"Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "TE", "Trailer", "Keep-Alive",
		"Proxy-Connection", "HTTP2-Settings", "Expect", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Authentication-Info",
	} {
		if wire.Same(name, other) {
			return true
		}
	}
	return false
}

func isHostField(name string) bool { return wire.Same(name, "Host") }

// isKeptInRequests reports whether a remove that ends in * passes by a field.
func isKeptInRequests(name string) bool {
	return isHostField(name) || onlyGateway(name) || isKeptInAnswers(name)
}

// isKeptInAnswers is isKeptInRequests for answers. Without its coding or its range a
// body is read as what it is not.
func isKeptInAnswers(name string) bool {
	return framing(name) || wire.Same(name, "Date") || beginsWith(name, "X-Headgate-") ||
		wire.Same(name, "Content-Encoding") || wire.Same(name, "Content-Range")
}

// onlyGateway reports whether only the gateway says a field of a request.
func onlyGateway(name string) bool {
	for _, other := range [...]string{"Forwarded", "X-Real-Ip", "X-Request-Id", "Proxy"} {
		if wire.Same(name, other) {
			return true
		}
	}
	return beginsWith(name, "X-Forwarded-") || beginsWith(name, "X-Headgate-")
}

// beginsWith reports whether name begins with begin, without regard to case.
func beginsWith(name, begin string) bool {
	return len(name) >= len(begin) && wire.Same(name[:len(begin)], begin)
}
