package headers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options change the header of requests on their way to the app, and of answers on
// their way to the client. The zero value changes nothing.
type Options struct {
	Request  Changes `yaml:"request"`
	Response Changes `yaml:"response"`
}

// Changes are made in this order: remove, set, add.
type Changes struct {
	Remove []string         `yaml:"remove"` // names; a * at the end stands for any rest
	Set    map[string]Value `yaml:"set"`    // in place of all of that name
	Add    map[string]Value `yaml:"add"`    // beside those that are there
}

// Value is a text, or an expression that makes it.
type Value struct {
	Text string `yaml:"text,short"` // as it is
	CEL  string `yaml:"cel"`        // an expression; where it gives "" or fails, or what no field can have, there is no such field
}

// The presets of security fields.
const (
	SecurityOff    = "off"
	SecurityBasic  = "basic"
	SecurityStrict = "strict"
)

// CheckSecurity reports a preset that does not exist. The message has no key. "" is
// off.
func CheckSecurity(preset string) error {
	switch preset {
	case "", SecurityOff, SecurityBasic, SecurityStrict:
		return nil
	}
	return fmt.Errorf("%q is not known: write strict, basic or off", preset)
}

// Validate reports every mistake; each message begins with its key.
func (o Options) Validate() error {
	return errors.Join(
		o.Request.validate("request", nameOfRequest),
		o.Response.validate("response", nameOfAnswer),
	)
}

// WithDefaults returns o: there are none.
func (o Options) WithDefaults() Options { return o }

func (c Changes) validate(key string, check func(string) error) error {
	var errs []error
	for i, name := range c.Remove {
		if err := checkRemove(name, check); err != nil {
			errs = append(errs, fmt.Errorf("%s.remove[%d]: %w", key, i, err))
		}
	}
	return errors.Join(append(errs, validate(key+".set", c.Set, check), validate(key+".add", c.Add, check))...)
}

// checkRemove checks a name that may end in *.
func checkRemove(name string, check func(string) error) error {
	begin, star := strings.CutSuffix(name, "*")
	switch {
	case !star:
		return check(name)
	case begin == "":
		return errors.New("* is every field there is: name those that are to go, such as X-Internal-*")
	}
	return tokenFault(begin)
}

func validate(key string, values map[string]Value, check func(string) error) error {
	var errs []error
	known := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := key + "." + name
		if err := check(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
		if other, ok := known[strings.ToLower(name)]; ok {
			errs = append(errs, fmt.Errorf("%s: is the same as %s: keep one of the two", at, key+"."+other))
		}
		known[strings.ToLower(name)] = name
		if _, err := values[name].compile(at); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
