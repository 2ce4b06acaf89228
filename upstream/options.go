package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Options describe how a pool shares requests among its members. The zero value
// is least-busy, slots found out, a fair queue of 1000 for 30 s, 3 attempts
// within 20 % of the traffic, ejection after 5 failures, no active check.
type Options struct {
	Balance Balance      `yaml:"balance"` // least-busy (default), round-robin, random, ip-hash, {hash: EXPRESSION} or {sticky: {cookie: NAME}}
	Slots   Slots        `yaml:"slots"`   // requests in flight per member: a number, or auto (default): announced, read from stats, or found out
	Queue   QueueOptions `yaml:"queue"`
	Retry   RetryOptions `yaml:"retry"`
	Eject   EjectOptions `yaml:"eject"` // when a member that answers badly is left alone for a while
	Check   CheckOptions `yaml:"check"` // active checks of the members

	// How long the share of a member grows that comes back or is new (10s); off:
	// it has all of it at once.
	SlowStart time.Duration `yaml:"slow_start"`
}

// QueueOptions bound the requests that wait for a slot.
type QueueOptions struct {
	Limit    int           `yaml:"limit"`    // requests waiting; 0: 1000
	Timeout  time.Duration `yaml:"timeout"`  // time one may wait in all; 0: 30 s
	Fairness Fairness      `yaml:"fairness"` // client (default): addresses take turns; off: in the order of arrival
}

// RetryOptions say how often, how long and at which cost a request may be sent
// again.
type RetryOptions struct {
	Attempts int           `yaml:"attempts"` // in all, the first included (3); 1: never again
	Timeout  time.Duration `yaml:"timeout"`  // no further attempt once those before have taken so long together (30s)
	Budget   Percent       `yaml:"budget"`   // of the pool's requests that may be attempts after the first (20%); off: no limit
}

// CheckOptions describe the active check of members. Without a path and a ping
// there is none.
type CheckOptions struct {
	Path     string        `yaml:"path"`     // asked for with GET
	Host     string        `yaml:"host"`     // the Host of the request; the first host of a site that uses the pool
	Ping     bool          `yaml:"ping"`     // uWSGI's ping (modifier 100) instead: no app runs
	Interval time.Duration `yaml:"interval"` // 5s
	Timeout  time.Duration `yaml:"timeout"`  // 2s
	Status   int           `yaml:"status"`   // that passes; any from 200 to 399
	Rise     int           `yaml:"rise"`     // checks in a row that must pass before a failing member is used again (1)
	Fall     int           `yaml:"fall"`     // checks in a row that must fail before a member is left alone (2)
}

// Enabled reports whether there is a check.
func (o CheckOptions) Enabled() bool { return o.Path != "" || o.Ping }

// shortest is the least of times whose ends cost something.
const shortest = 10 * time.Millisecond

// Defaults of the options.
const (
	DefaultQueueLimit    = 1000
	DefaultQueueTimeout  = 30 * time.Second
	DefaultAttempts      = 3
	DefaultRetryTimeout  = 30 * time.Second
	DefaultRetryBudget   = Percent(20)
	DefaultSlowStart     = 10 * time.Second
	DefaultCheckInterval = 5 * time.Second
	DefaultCheckTimeout  = 2 * time.Second
)

// Validate reports every mistake; each message begins with its key.
func (o Options) Validate() error {
	var errs []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	outside := func(n, most int) bool { return n < 0 || n > most }
	fault(outside(int(o.Slots), 1<<20), "slots: %d is out of range: write auto or a number from 1 to %d", int(o.Slots), 1<<20)
	fault(outside(o.Queue.Limit, 1<<20), "queue.limit: %d is out of range: write a number from 1 to %d", o.Queue.Limit, 1<<20)
	short := func(d time.Duration) bool { return d != 0 && d < shortest }
	fault(short(o.Queue.Timeout), "queue.timeout: %s is shorter than %s: write a duration such as 30s", o.Queue.Timeout, shortest)
	fault(outside(o.Retry.Attempts, maxAttempts), "retry.attempts: %d is out of range: write a number from 1 (never again) to %d", o.Retry.Attempts, maxAttempts)
	fault(o.Retry.Timeout < 0, "retry.timeout: %s is negative: write a duration such as 30s", o.Retry.Timeout)
	c := o.Check
	fault(c.Path != "" && c.Path[0] != '/', "check.path: %q does not begin with a slash: write it like /healthz", c.Path)
	fault(c.Path != "" && c.Ping, "check.ping: a check has a path or is a ping: keep one of the two")
	fault(!c.Enabled() && c != (CheckOptions{}), "check: says neither path nor ping: write path: /healthz, or ping: true")
	fault(short(c.Interval), "check.interval: %s is shorter than %s: write a duration such as 5s", c.Interval, shortest)
	fault(short(c.Timeout), "check.timeout: %s is shorter than %s: write a duration such as 2s", c.Timeout, shortest)
	fault(c.Status != 0 && (c.Status < 200 || c.Status > 599), "check.status: %d is no status of an answer: write a number from 200 to 599", c.Status)
	fault(outside(c.Rise, 100) || outside(c.Fall, 100), "check: rise and fall are numbers from 1 to 100: write for example rise: 1, fall: 2")
	errs = append(errs, o.Eject.Validate())
	if err := o.Balance.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("balance: %w", err))
	}
	return errors.Join(errs...)
}

// WithDefaults returns o with everything filled in that is not said. A check that
// is not enabled has none.
func (o Options) WithDefaults() Options {
	setDefault(&o.Queue.Limit, DefaultQueueLimit)
	setDefault(&o.Queue.Timeout, DefaultQueueTimeout)
	setDefault(&o.Retry.Attempts, DefaultAttempts)
	setDefault(&o.Retry.Timeout, DefaultRetryTimeout)
	setDefault(&o.Retry.Budget, DefaultRetryBudget)
	setDefault(&o.SlowStart, DefaultSlowStart)
	if o.Check.Enabled() {
		setDefault(&o.Check.Interval, DefaultCheckInterval)
		setDefault(&o.Check.Timeout, DefaultCheckTimeout)
		setDefault(&o.Check.Rise, 1)
		setDefault(&o.Check.Fall, 2)
	}
	o.Eject = o.Eject.withDefaults()
	return o
}

func setDefault[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// Secret is a text that no log and no page shows.
type Secret string

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

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

// Percent is a share in hundredths; 0 is "not said", and below 0 "off".
type Percent int

// MarshalText implements encoding.TextMarshaler.
func (p Percent) MarshalText() ([]byte, error) {
	if p < 0 {
		return []byte("off"), nil
	}
	return append(strconv.AppendInt(nil, int64(p), 10), '%'), nil
}

// UnmarshalText accepts "20%" and "off".
func (p *Percent) UnmarshalText(b []byte) error {
	if string(b) == "off" {
		*p = -1
		return nil
	}
	digits, found := strings.CutSuffix(string(b), "%")
	n, err := strconv.Atoi(digits)
	if err != nil || !found || n < 1 || n > 100 {
		return fmt.Errorf("%q is not a share: write it like 20%%, or off", b)
	}
	*p = Percent(n)
	return nil
}

// Fairness is whether clients take turns in the queue.
type Fairness uint8

// The kinds of fairness.
const (
	FairClients Fairness = iota // each client's address has its turn
	FairOff                     // the order of arrival alone
)

// String returns the word of the configuration.
func (f Fairness) String() string {
	if f == FairOff {
		return "off"
	}
	return "client"
}

// MarshalText implements encoding.TextMarshaler.
func (f Fairness) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText accepts client and off.
func (f *Fairness) UnmarshalText(b []byte) error {
	switch string(b) {
	case "client":
		*f = FairClients
	case "off":
		*f = FairOff
	default:
		return fmt.Errorf("%q is not a fairness: write client or off", b)
	}
	return nil
}
