package uwsgi

import "fmt"

// Dialect is the way in which a member's server reads a packet. uWSGI and
// gunicorn differ in the path, the client's address and the reuse of
// connections.
type Dialect uint8

// The dialects. The zero value means that it is found out from the answers.
const (
	DialectAuto Dialect = iota
	DialectUWSGI
	DialectGunicorn
)

// String returns the dialect's name as it is written in a configuration.
func (d Dialect) String() string {
	switch d {
	case DialectAuto:
		return "auto"
	case DialectUWSGI:
		return "uwsgi"
	case DialectGunicorn:
		return "gunicorn"
	}
	return fmt.Sprintf("dialect(%d)", uint8(d))
}

// MarshalText implements encoding.TextMarshaler. It refuses a value that is
// none of the constants.
func (d Dialect) MarshalText() ([]byte, error) {
	if d > DialectGunicorn {
		return nil, fmt.Errorf("%v is not a dialect", d)
	}
	return []byte(d.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. The empty text is auto.
func (d *Dialect) UnmarshalText(text []byte) error {
	switch string(text) {
	case "", "auto":
		*d = DialectAuto
	case "uwsgi":
		*d = DialectUWSGI
	case "gunicorn":
		*d = DialectGunicorn
	default:
		return fmt.Errorf("dialect %q is not known; write auto, uwsgi or gunicorn", text)
	}
	return nil
}

// maxPairs is how many variables a server of this dialect takes. An unknown
// server is given what every server takes.
func (d Dialect) maxPairs() int {
	if d == DialectGunicorn {
		return MaxPairsGunicorn
	}
	return MaxPairs
}
