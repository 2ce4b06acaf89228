package uwsgi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxConstants leaves at least half of the variables that uWSGI takes to the
// request and its headers.
const maxConstants = MaxPairs / 2

// Validate returns all that is wrong with the options, joined, or nil. Each
// error begins with the option's place below the pool ("vars.UWSGI_FILE: ...").
func (o Options) Validate() error {
	var errs []error
	add := func(place string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place, err))
		}
	}
	if _, err := o.Dialect.MarshalText(); err != nil {
		add("dialect", fmt.Errorf("%w; write auto, uwsgi or gunicorn", err))
	}
	add("modifier1", o.checkModifier1())
	if o.Modifier2 < 0 || o.Modifier2 > 255 {
		add("modifier2", fmt.Errorf("%d is not a byte; leave it out", o.Modifier2))
	}
	if len(o.Vars) > maxConstants {
		add("vars", fmt.Errorf("there are %d, and uWSGI takes %d with those of the request; set at most %d, the rest in the worker's environment", len(o.Vars), MaxPairs, maxConstants))
	}
	for _, key := range slices.Sorted(maps.Keys(o.Vars)) {
		add("vars."+key, checkVar(key, o.Vars[key], &o))
	}
	add("connect_timeout", checkTimeout(o.ConnectTimeout, "5s"))
	add("response_timeout", checkTimeout(o.ResponseTimeout, "60s"))
	switch {
	case o.TLS.Cert != "" && o.TLS.Key == "":
		add("tls.key", errors.New("is missing, and tls.cert is of no use without; name the file with its key"))
	case o.TLS.Cert == "" && o.TLS.Key != "":
		add("tls.cert", errors.New("is missing, and tls.key is of no use without; name the file with its certificate"))
	}
	return errors.Join(errs...)
}

func (o Options) checkModifier1() error {
	if o.Dialect == DialectGunicorn && o.Modifier1 != 0 {
		return fmt.Errorf("gunicorn answers %d with an error; leave modifier1 out", o.Modifier1)
	}
	return checkModifier1(o.Modifier1)
}

func checkTimeout(d time.Duration, usual string) error {
	if d < 0 {
		return fmt.Errorf("%v is negative; leave it out for %s", d, usual)
	}
	return nil
}
