package cache

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"headgate/gateway/notation"
)

// Options say what of a route's answers is kept (RFC 9111). The zero value keeps
// what answers themselves allow a shared cache.
type Options struct {
	On      notation.Switch `yaml:"on,short"` // on (default where cache is written); off: nothing is kept, and nothing is answered from what is
	Key     string          `yaml:"key"`      // an expression; answers are kept apart by its text, beside scheme, host, path and query
	Query   []string        `yaml:"query"`    // the parameters of the query that count; all by default, off: none
	TTL     []TTL           `yaml:"ttl"`      // for answers that do not say themselves how long they are fresh; the first that has the status applies
	Private bool            `yaml:"private"`  // false (default); true: also answers with Set-Cookie, and to requests with Authorization
	Reload  notation.Switch `yaml:"reload"`   // on (default): clients get a new answer when their Cache-Control asks for one; off: they do not

	StaleWhileRevalidate time.Duration `yaml:"stale_while_revalidate"` // how long a stale answer is given while a new one is fetched, unless the answer says; none by default
	StaleIfError         time.Duration `yaml:"stale_if_error"`         // how long a stale answer is given when there is no other, unless the answer says; none by default
	MaxBody              notation.Size `yaml:"max_body"`               // of an answer that is kept (64MiB)
	Lock                 time.Duration `yaml:"lock"`                   // how long requests wait for one that fetches the same, and that one where a stale answer may be given in place of the app's (5s); off: each fetches, and waits
}

// TTL is how long answers are fresh that do not say so.
type TTL struct {
	For    time.Duration `yaml:"for,short"`
	Status []int         `yaml:"status"` // to which it applies ([200, 301, 404])
	Force  bool          `yaml:"force"`  // false (default); true: whatever the answer says, but for no-store and private
}

// StoreOptions bound the store that all routes share.
type StoreOptions struct {
	Memory notation.Size `yaml:"memory"` // for answers in memory, and what is known of those in dir (64MiB); off: nothing is kept
	Dir    string        `yaml:"dir"`    // directory for the large ones, which nobody else uses; none by default: of them, those up to an eighth of memory are kept
	Disk   notation.Size `yaml:"disk"`   // for answers in dir (1GiB)
	Large  notation.Size `yaml:"large"`  // from which size on an answer goes into dir (1MiB)
}

// The defaults.
const (
	defaultMaxBody = 64 * notation.MiB
	defaultLock    = 5 * time.Second
	defaultMemory  = 64 * notation.MiB
	defaultDisk    = notation.GiB
	defaultLarge   = notation.MiB
)

// Bounds of what Options may say.
const (
	maxTTLs       = 64
	maxParameters = 256
	minMemory     = notation.MiB
	minLarge      = 4 * notation.KiB
	maxLarge      = 256 * notation.MiB // of it, each answer that is being fetched may be in memory
)

// WithDefaults returns o with its defaults in place.
func (o Options) WithDefaults() Options {
	o.On = o.On.Or(notation.On)
	o.Reload = o.Reload.Or(notation.On)
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Lock == 0 {
		o.Lock = defaultLock
	}
	if o.TTL != nil {
		rules := make([]TTL, len(o.TTL))
		for i, t := range o.TTL {
			if t.Status == nil {
				t.Status = []int{200, 301, 404}
			}
			rules[i] = t
		}
		o.TTL = rules
	}
	return o
}

// Validate reports every mistake of o.
func (o Options) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Query) > maxParameters {
		add("query: %d parameters are more than %d: leave query out if all count", len(o.Query), maxParameters)
	}
	for _, name := range o.Query {
		if name == "" {
			add("query: a parameter without a name: write the names of those that count")
		}
	}
	if len(o.TTL) > maxTTLs {
		add("ttl: %d rules are more than %d: give several statuses to one rule", len(o.TTL), maxTTLs)
	}
	for _, t := range o.TTL {
		errs = append(errs, t.validate())
	}
	if o.MaxBody < 0 {
		add("max_body: off would keep nothing: set on: off for that, or give the largest size that is kept")
	}
	return errors.Join(errs...)
}

// maxTTL is more than any cache has to tell from for ever (RFC 9111, 1.2.2).
const maxTTL = 68 * 365 * 24 * time.Hour

func (t TTL) validate() error {
	if t.For <= 0 || t.For > maxTTL {
		return fmt.Errorf("ttl: %v is not a time that an answer can be fresh: write it like 10m", t.For)
	}
	for _, status := range t.Status {
		if !storableStatus(status) {
			return fmt.Errorf("ttl: answers with status %d are never kept: leave it out", status)
		}
	}
	if t.Status != nil && len(t.Status) == 0 {
		return errors.New("ttl: status: a rule for no status: remove the rule, or name the statuses")
	}
	return nil
}

// WithDefaults returns o with its defaults in place.
func (o StoreOptions) WithDefaults() StoreOptions {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Disk == 0 && o.Dir != "" {
		o.Disk = defaultDisk
	}
	if o.Large == 0 && o.Dir != "" {
		o.Large = defaultLarge
	}
	return o
}

// Validate reports every mistake of o.
func (o StoreOptions) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Memory > 0 && o.Memory < minMemory {
		add("memory: %v is too little to keep anything: give at least %v, or off", o.Memory, minMemory)
	}
	if o.Dir != "" && !filepath.IsAbs(o.Dir) {
		add("dir: %s is not absolute: write the whole path", o.Dir)
	}
	if o.Disk < 0 {
		add("disk: off would keep nothing in dir: leave dir out for that")
	}
	if o.Large != 0 && o.Large < minLarge || o.Large > maxLarge {
		add("large: %v is not a useful size: choose one from %v to %v", o.Large, minLarge, maxLarge)
	}
	return errors.Join(errs...)
}
