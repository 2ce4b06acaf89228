package subscribe

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"headgate/upstream/uwsgi"
)

// Validate reports every mistake; each message begins with its key. It looks at no
// file and asks for no user: Open does.
func (o Options) Validate() error {
	var errs []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	seen := make(map[place]bool, len(o.Listen))
	for i, s := range o.Listen {
		at, err := parseListen(s)
		fault(err != nil, "listen[%d]: %w", i, err)
		fault(err == nil && seen[at] && at.port() != 0, "listen[%d]: %s is there twice: remove one of the two", i, s)
		seen[at] = true
	}
	for i, r := range o.Allow {
		errs = append(errs, r.validate(fmt.Sprintf("allow[%d]", i)))
	}
	fault(o.Expire != 0 && o.Expire < time.Second, "expire: %s is shorter than 1s: write a duration such as 30s, three times what subscribe-freq is", o.Expire)
	fault(o.MaxKeys < 0 || o.MaxKeys > mostNodes, "max_keys: %d is out of range: write a number from 1 to %d", o.MaxKeys, mostNodes)
	fault(o.MaxNodes < 0 || o.MaxNodes > mostNodes, "max_nodes: %d is out of range: write a number from 1 to %d", o.MaxNodes, mostNodes)
	errs = append(errs, o.Sign.validate())
	unheard := o.Expire != 0 || o.MaxKeys != 0 || o.MaxNodes != 0 || len(o.Allow) > 0 || o.Sign != (Sign{})
	fault(len(o.Listen) == 0 && unheard, "listen: nobody can announce anything: write listen: [\"udp:127.0.0.1:2626\"]")
	return errors.Join(errs...)
}

func (s Sign) validate() error {
	var errs []error
	if s.Keys == "" && s != (Sign{}) {
		errs = append(errs, errors.New("sign.keys: there is no directory of public keys: name one, such as /etc/headgate/subscribers"))
	}
	if _, err := digestOf(s.Digest); err != nil {
		errs = append(errs, fmt.Errorf("sign.digest: %w", err))
	}
	if s.Window != 0 && (s.Window < time.Second || s.Window > time.Hour) {
		errs = append(errs, fmt.Errorf("sign.window: %s is out of range: write a duration from 1s to 1h", s.Window))
	}
	return errors.Join(errs...)
}

func (r Rule) validate(at string) error {
	var errs []error
	each := func(key string, list []string, check func(string) error) {
		for i, s := range list {
			if err := check(s); err != nil {
				errs = append(errs, fmt.Errorf("%s.%s[%d]: %w", at, key, i, err))
			}
		}
	}
	each("from", r.From, func(s string) error { _, err := parseNetwork(s); return err })
	each("users", r.Users, checkUser)
	each("keys", r.Keys, func(s string) error { _, err := parsePattern(s); return err })
	each("addresses", r.Addresses, func(s string) error { _, err := parseTarget(s); return err })
	for i, m := range r.Modifiers {
		if err := (uwsgi.Options{Modifier1: m}).Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s.modifiers[%d]: %d is no plugin that answers requests: write a number of 0 5 6 7 8 9 11 14 15 19 23 24 25 27 28", at, i, m))
		}
	}
	return errors.Join(errs...)
}

func checkUser(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == ':' || r == '/' || r == 0x7f }) {
		return fmt.Errorf("%q is no user: write a name such as www-data, or a number", s)
	}
	return nil
}
