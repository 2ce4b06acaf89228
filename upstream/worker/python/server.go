package python

import "fmt"

// Server is a program that runs WSGI apps and speaks uwsgi.
type Server uint8

// The servers.
const (
	Auto     Server = iota // the best one that is there
	UWSGI                  // uWSGI
	Gunicorn               // gunicorn --protocol uwsgi
	Builtin                // our own, which needs nothing but Python
)

// String returns the word of the configuration.
func (s Server) String() string {
	return [...]string{"auto", "uwsgi", "gunicorn", "builtin"}[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Server) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts the words of String.
func (s *Server) UnmarshalText(b []byte) error {
	for _, one := range []Server{Auto, UWSGI, Gunicorn, Builtin} {
		if string(b) == one.String() {
			*s = one
			return nil
		}
	}
	return fmt.Errorf("%q is not a server: write auto, uwsgi, gunicorn or builtin", b)
}
