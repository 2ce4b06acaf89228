package limit

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"headgate/gateway/expression"
	"headgate/gateway/notation"
)

// Rate bounds how many requests of one key come in a time, by the generic cell rate
// algorithm (GCRA): those beyond it get 429 with Retry-After, or wait.
type Rate struct {
	Rate  notation.Rate `yaml:"rate,short"` // 10/s, 5/m, 100/h: as many may come at once, and one is given back every 100ms, 12s, 36s
	Key   string        `yaml:"key"`        // an expression; requests with the same text share the rate, those with "" have none; client.ip (default) is the address of the client, of IPv6 the first 64 bits
	Burst int           `yaml:"burst"`      // requests beyond the rate that may come at once (none)
	Delay time.Duration `yaml:"delay"`      // how long a request may wait for its turn in place of 429, at most 1m (not at all)
	Store string        `yaml:"store"`      // local (default), or redis://user:password@host:6379/0 (rediss: with TLS) to share the count between gateways; without an answer from there within 50ms (?timeout=50ms) each counts alone
	Name  string        `yaml:"name"`       // of the rate in header, log and store; rates with the same name share their counts; its place in the file by default
}

// InFlight bounds how many requests of one key run at once; others get 429.
type InFlight struct {
	Limit int    `yaml:"limit,short"`
	Key   string `yaml:"key"` // as that of rate_limit
}

// Bandwidth bounds how fast an answer is sent.
type Bandwidth struct {
	Rate  notation.Size `yaml:"rate,short"` // bytes in a second; off: no limit
	After notation.Size `yaml:"after"`      // bytes that are sent before the limit holds (none)
}

const (
	defaultKey = "client.ip"
	local      = "local"

	maxDelay  = time.Minute
	maxBurst  = 1_000_000
	maxSpan   = 366 * 24 * time.Hour // in which all that may come at once is given back
	maxName   = 64
	maxAtOnce = 1_000_000 // of InFlight
	maxRules  = 8         // of one list
)

// Validate returns every mistake, each with the key, the fact and the cure.
func (o Rate) Validate() error {
	var errs []error
	if o.Rate.Events < 1 || o.Rate.Per < 1 {
		errs = append(errs, errors.New("rate: there is none: write it like 10/s, 5/m or 100/h"))
	} else if o.Burst <= maxBurst && o.Burst >= 0 && o.span() > maxSpan {
		errs = append(errs, fmt.Errorf("burst: at %v it takes more than a year until %d requests are given back: write a smaller one", o.Rate, o.Burst))
	}
	errs = append(errs, checkKey(o.Key))
	if o.Burst < 0 || o.Burst > maxBurst {
		errs = append(errs, fmt.Errorf("burst: %d is not between 0 and %d: write how many requests more than the rate may come at once", o.Burst, maxBurst))
	}
	if o.Delay > maxDelay {
		errs = append(errs, fmt.Errorf("delay: no request may wait for %v: write 1m or less", o.Delay))
	}
	if len(o.Name) > maxName || strings.ContainsFunc(o.Name, func(r rune) bool { return r < ' ' || r > '~' }) {
		errs = append(errs, fmt.Errorf("name: %.80q cannot be one: write at most %d printable ASCII characters", o.Name, maxName))
	}
	return errors.Join(append(errs, checkStore(o.Store))...)
}

// WithDefaults returns o with every key that has a default.
func (o Rate) WithDefaults() Rate {
	if o.Key == "" {
		o.Key = defaultKey
	}
	if o.Store == "" {
		o.Store = local
	}
	return o
}

// emission is the time that one request takes of the rate.
func (o Rate) emission() time.Duration { return max(o.Rate.Per/time.Duration(o.Rate.Events), 1) }

// span is the time in which all that may come at once is given back.
func (o Rate) span() time.Duration {
	if o.Burst > int(maxSpan/o.emission()) { // it would not fit into a Duration
		return maxSpan + 1
	}
	return o.emission() * time.Duration(o.Rate.Events+o.Burst)
}

// Validate returns every mistake, each with the key, the fact and the cure.
func (o InFlight) Validate() error {
	var err error
	if o.Limit < 1 || o.Limit > maxAtOnce {
		err = fmt.Errorf("limit: %d is not between 1 and %d: write how many requests may run at once", o.Limit, maxAtOnce)
	}
	return errors.Join(err, checkKey(o.Key))
}

// WithDefaults returns o with every key that has a default.
func (o InFlight) WithDefaults() InFlight {
	if o.Key == "" {
		o.Key = defaultKey
	}
	return o
}

// Validate returns every mistake, each with the key, the fact and the cure.
func (o Bandwidth) Validate() error {
	if o.Rate == 0 {
		return errors.New("rate: there is none: write bytes in a second, like 1MiB, or off")
	}
	return nil
}

// WithDefaults returns o: nothing of it has a default but zero.
func (o Bandwidth) WithDefaults() Bandwidth { return o }

func isDefault(key string) bool {
	key = strings.TrimSpace(key)
	return key == "" || key == defaultKey
}

func checkKey(key string) error {
	if isDefault(key) {
		return nil
	}
	_, err := expression.Compile(key, expression.String)
	var wrong *expression.Error
	if !errors.As(err, &wrong) {
		return err
	}
	bare := *wrong
	bare.Hint = ""
	cure := wrong.Hint
	if !strings.HasPrefix(cure, "write ") && !strings.HasPrefix(cure, "take ") {
		cure = `write an expression that gives a text, such as client.ip or request.header["x-user"]`
	}
	return fmt.Errorf("key: %s: %s", bare.Error(), cure)
}

// checkStore repeats nothing of a URL: a password may be in it.
func checkStore(store string) error {
	if store == "" || store == local {
		return nil
	}
	u, err := url.Parse(store)
	if err != nil || u.Hostname() == "" || u.Scheme != "redis" && u.Scheme != "rediss" {
		return errors.New("store: this is no store of counts: write local, or redis://user:password@host:6379/0")
	}
	return nil
}
