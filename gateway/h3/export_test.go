package h3

import "headgate/gateway/wire"

// Decode decodes a header block without limits of its own.
func Decode(b []byte, maxBytes, maxFields int) (wire.Fields, error) {
	var d decoder
	return d.decode(b, maxBytes, maxFields)
}

// Encode encodes fields as those of an answer.
func Encode(status int, f wire.Fields) []byte {
	b, at := beginBlock(nil)
	b, _ = appendFields(appendStatus(b, status), f)
	return endBlock(b, at)
}

// ParsePriority parses a priority.
func ParsePriority(wish string) (urgency int8, incremental bool) { return parsePriority(wish) }

// Shaking returns how many handshakes are under way.
func (s *Server) Shaking() int64 { return s.shaking.Load() }
