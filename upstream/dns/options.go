package dns

import (
	"fmt"
	"time"
)

// DefaultMaxTTL is how long an answer holds at most.
const DefaultMaxTTL = 30 * time.Second

// minTTL is how long every answer holds, whatever its TTL.
const minTTL = time.Second

// Options say how names are looked up. The zero value believes a TTL of up to 30 s.
type Options struct {
	MaxTTL time.Duration `yaml:"max_ttl"` // a name is looked up again after at most so long, whatever its TTL (30s)
}

// Validate reports every mistake; each message begins with its key.
func (o Options) Validate() error {
	if o.MaxTTL != 0 && o.MaxTTL < minTTL {
		return fmt.Errorf("max_ttl: %s is too short: write a duration from %s, such as %s", o.MaxTTL, minTTL, DefaultMaxTTL)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.MaxTTL == 0 {
		o.MaxTTL = DefaultMaxTTL
	}
	return o
}

// hold returns how long an answer with ttl holds.
func (o Options) hold(ttl time.Duration) time.Duration {
	if ttl == NoTTL {
		ttl = hostsTTL
	}
	return max(min(ttl, o.MaxTTL), minTTL)
}
