package origin

import "time"

// Options say how a member is spoken to. The zero value is HTTP/1.1 with the
// default timeouts. The gateway takes them from keys of the pool.
type Options struct {
	HTTP2           bool          `yaml:"-"` // HTTP/2 by prior knowledge (h2c), and nothing else
	ConnectTimeout  time.Duration `yaml:"-"` // to the connection; 0: 5 s, negative: none
	ResponseTimeout time.Duration `yaml:"-"` // from the request's last byte to the response's head, then between two reads of the body; 0: 60 s, negative: none
}

// Defaults of Options.
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 60 * time.Second
)

func timeoutOr(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return d
}
