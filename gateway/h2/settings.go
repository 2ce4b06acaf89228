package h2

import "time"

// Settings are the limits of a Server. They compare; the zero value of each field
// is its default.
type Settings struct {
	// HeadBytes bounds the header of a request, counted as HPACK does (names,
	// values, and 32 bytes each). More is a Refusal, and more than twice as much
	// ends the connection. Default: 64 KiB.
	HeadBytes int

	// Fields bounds how many fields a header has. More is a Refusal. Default: 100.
	Fields int

	// MaxStreams bounds the requests of one connection that are being answered,
	// those that the client has reset included. It holds for new connections.
	// Default: 128.
	MaxStreams int

	// HeaderTimeout bounds the time for the preface, and for a header once it has
	// begun. Default: 10 s; negative: none.
	HeaderTimeout time.Duration

	// IdleTimeout is how long a connection may have no stream, and how long the
	// socket may take nothing if no stream has said otherwise (SetWriteTimeout).
	// Default: 90 s; negative: none.
	IdleTimeout time.Duration
}

func (s Settings) withDefaults() Settings {
	if s.HeadBytes <= 0 {
		s.HeadBytes = 64 << 10
	}
	if s.Fields <= 0 {
		s.Fields = 100
	}
	if s.MaxStreams <= 0 {
		s.MaxStreams = 128
	}
	if s.HeaderTimeout == 0 {
		s.HeaderTimeout = 10 * time.Second
	}
	if s.IdleTimeout == 0 {
		s.IdleTimeout = 90 * time.Second
	}
	return s
}
