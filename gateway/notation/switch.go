package notation

import "fmt"

// Switch is on, off, or not said, which is the zero value.
type Switch int8

// The values of a Switch.
const (
	Unsaid Switch = iota
	On
	Disabled
)

// Or returns s, or other if s is not said.
func (s Switch) Or(other Switch) Switch {
	if s == Unsaid {
		return other
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (s Switch) MarshalText() ([]byte, error) {
	switch s {
	case On:
		return []byte("on"), nil
	case Disabled:
		return []byte("off"), nil
	}
	return nil, nil
}

// UnmarshalText implements encoding.TextUnmarshaler: on and true, off and false.
func (s *Switch) UnmarshalText(text []byte) error {
	switch string(text) {
	case "on", "true":
		*s = On
	case "off", "false":
		*s = Disabled
	default:
		return fmt.Errorf("%q is neither on nor off", text)
	}
	return nil
}
