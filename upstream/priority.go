package upstream

import "fmt"

// Priority says which requests come first when they must wait. The zero value is
// PriorityNormal. Values above PriorityHigh count as high, and those below
// PriorityLow as low.
type Priority int8

// The priorities.
const (
	PriorityLow    Priority = -1
	PriorityNormal Priority = 0
	PriorityHigh   Priority = 1
)

// String returns the word of the configuration.
func (p Priority) String() string {
	switch {
	case p > PriorityNormal:
		return "high"
	case p < PriorityNormal:
		return "low"
	}
	return "normal"
}

// MarshalText implements encoding.TextMarshaler.
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText accepts high, normal and low. Of anything else it leaves p as it
// was.
func (p *Priority) UnmarshalText(b []byte) error {
	switch string(b) {
	case "high":
		*p = PriorityHigh
	case "normal":
		*p = PriorityNormal
	case "low":
		*p = PriorityLow
	default:
		return fmt.Errorf("%q is not a priority: write high, normal or low", b)
	}
	return nil
}
