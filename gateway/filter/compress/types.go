package compress

import (
	"strings"

	"headgate/gateway/wire"
)

// eventStream is never coded: encoders would hold back what is to arrive at once.
const eventStream = "text/event-stream"

// mediaType returns a Content-Type without its parameters.
func mediaType(v string) string {
	if i := strings.IndexByte(v, ';'); i >= 0 {
		v = v[:i]
	}
	return strings.Trim(v, " \t")
}

// suitable reports whether a media type is one of list, in which text/* and *+json
// are patterns.
func suitable(list []string, media string) bool {
	if media == "" || wire.Same(media, eventStream) {
		return false
	}
	for _, t := range list {
		last := len(t) - 1
		switch {
		case t[0] == '*':
			if n := len(media) - last; n > 0 && wire.Same(media[n:], t[1:]) {
				return true
			}
		case t[last] == '*':
			if len(media) > last && wire.Same(media[:last], t[:last]) {
				return true
			}
		case wire.Same(media, t):
			return true
		}
	}
	return false
}

// mixes reports whether bodies of a media type may have a secret and what somebody
// else has said. Styles, pictures, fonts and programs do not.
func mixes(media string) bool {
	for _, kind := range [...]string{"font/", "image/", "text/css", "application/wasm", "application/vnd.ms-fontobject"} {
		if len(media) >= len(kind) && wire.Same(media[:len(kind)], kind) {
			return false
		}
	}
	return true
}
