package upstream

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Options describe how a pool shares requests among its members. The zero value
// is least-busy, slots not limited, a queue of 1000 for 30 s and 3 attempts.
type Options struct {
	Balance Balance      `yaml:"balance"` // least-busy (default), round-robin or random
	Slots   Slots        `yaml:"slots"`   // requests in flight per member: auto (default: not limited) or a number
	Queue   QueueOptions `yaml:"queue"`
	Retry   RetryOptions `yaml:"retry"`
}

// QueueOptions bound the requests that wait for a slot.
type QueueOptions struct {
	Limit   int           `yaml:"limit"`   // requests waiting; 0: 1000
	Timeout time.Duration `yaml:"timeout"` // time one may wait; 0: 30 s
}

// RetryOptions say how often one request may be sent.
type RetryOptions struct {
	Attempts int `yaml:"attempts"` // in all, the first included; 0: 3; 1: never again
}

// Defaults of the options.
const (
	DefaultQueueLimit   = 1000
	DefaultQueueTimeout = 30 * time.Second
	DefaultAttempts     = 3
)

// Validate reports every mistake; each message begins with its key.
func (o Options) Validate() error {
	var errs []error
	if o.Slots < 0 || o.Slots > 1<<20 {
		errs = append(errs, fmt.Errorf("slots: %d is out of range: write auto or a number from 1 to %d", int(o.Slots), 1<<20))
	}
	if o.Queue.Limit < 0 || o.Queue.Limit > 1<<20 {
		errs = append(errs, fmt.Errorf("queue.limit: %d is out of range: write a number from 1 to %d", o.Queue.Limit, 1<<20))
	}
	if o.Queue.Timeout < 0 {
		errs = append(errs, fmt.Errorf("queue.timeout: %s is negative: write a duration such as 30s", o.Queue.Timeout))
	}
	if o.Retry.Attempts < 0 || o.Retry.Attempts > 10 {
		errs = append(errs, fmt.Errorf("retry.attempts: %d is out of range: write a number from 1 (never again) to 10", o.Retry.Attempts))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.Queue.Limit == 0 {
		o.Queue.Limit = DefaultQueueLimit
	}
	if o.Queue.Timeout == 0 {
		o.Queue.Timeout = DefaultQueueTimeout
	}
	if o.Retry.Attempts == 0 {
		o.Retry.Attempts = DefaultAttempts
	}
	return o
}

// Slots is how many requests a member may have in flight; 0 is "auto".
type Slots int

// MarshalText implements encoding.TextMarshaler.
func (s Slots) MarshalText() ([]byte, error) {
	if s == 0 {
		return []byte("auto"), nil
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// UnmarshalText accepts "auto" or a positive number.
func (s *Slots) UnmarshalText(b []byte) error {
	if string(b) == "auto" {
		*s = 0
		return nil
	}
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not a number of slots: write auto, or processes x threads of one member, such as 8", b)
	}
	*s = Slots(n)
	return nil
}

// Balance is the rule by which a member is chosen.
type Balance uint8

// The rules.
const (
	LeastBusy  Balance = iota // fewest requests in flight, the others in turn
	RoundRobin                // each in turn
	Random                    // any
)

var balanceNames = [...]string{LeastBusy: "least-busy", RoundRobin: "round-robin", Random: "random"}

// String returns the rule's name in the configuration.
func (b Balance) String() string {
	if int(b) < len(balanceNames) {
		return balanceNames[b]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (b Balance) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText accepts the names of the rules.
func (b *Balance) UnmarshalText(text []byte) error {
	for i, name := range balanceNames {
		if string(text) == name {
			*b = Balance(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not a balance: write least-busy, round-robin or random", text)
}
