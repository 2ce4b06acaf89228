package h3

import "time"

// Settings are the limits of a server. A zero is the default.
type Settings struct {
	HeadBytes     int           // of a request's head, as RFC 9114, 4.2.2 counts; more is a Refusal 431; 80 KiB
	Fields        int           // of a request's header, with the pseudo-header; more is a Refusal 431; 500
	HeaderTimeout time.Duration // to the end of a request's head; 10 s
	IdleTimeout   time.Duration // a connection without requests, or one that says nothing at all; 90 s
	MaxStreams    int           // requests at once on one connection; 128
}

func (s Settings) withDefaults() Settings {
	if s.HeadBytes <= 0 {
		s.HeadBytes = 80 << 10
	}
	if s.Fields <= 0 {
		s.Fields = 500
	}
	if s.HeaderTimeout <= 0 {
		s.HeaderTimeout = 10 * time.Second
	}
	if s.IdleTimeout <= 0 {
		s.IdleTimeout = 90 * time.Second
	}
	if s.MaxStreams <= 0 {
		s.MaxStreams = 128
	}
	return s
}
