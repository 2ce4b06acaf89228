package notation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of events in a length of time, written 10/s, 5/m, 100/h, 20/10s
// or 1000/d. The zero value is none.
type Rate struct {
	Events int
	Per    time.Duration
}

var errRate = errors.New("not a rate")

// maxEvents bounds what a Rate counts.
const maxEvents = 1_000_000_000

// ParseRate reads a rate. It has at least one event, in at least a millisecond and
// at most a day.
func ParseRate(s string) (Rate, error) {
	events, per, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(strings.TrimSpace(events))
	if !ok || err != nil || n < 1 || n > maxEvents {
		return Rate{}, fmt.Errorf("%w: %q", errRate, s)
	}
	per = strings.TrimSpace(per)
	if per == "" || per[0] < '0' || per[0] > '9' { // a unit alone
		per = "1" + per
	}
	var d time.Duration
	if days, ok := strings.CutSuffix(per, "d"); ok && days == "1" {
		d = 24 * time.Hour
	} else if d, err = time.ParseDuration(per); err != nil {
		return Rate{}, fmt.Errorf("%w: %q", errRate, s)
	}
	if d < time.Millisecond || d > 24*time.Hour {
		return Rate{}, fmt.Errorf("%w: %q", errRate, s)
	}
	return Rate{n, d}, nil
}

// String returns the rate as ParseRate reads it.
func (r Rate) String() string {
	unit := r.Per.String()
	switch r.Per {
	case 0:
		return ""
	case time.Second:
		unit = "s"
	case time.Minute:
		unit = "m"
	case time.Hour:
		unit = "h"
	case 24 * time.Hour:
		unit = "d"
	}
	return strconv.Itoa(r.Events) + "/" + unit
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseRate.
func (r *Rate) UnmarshalText(text []byte) error {
	parsed, err := ParseRate(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}
