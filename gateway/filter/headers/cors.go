package headers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"headgate/gateway/wire"
)

// CORS says which pages of other origins may read answers (WHATWG Fetch). Preflights
// are answered at once. The zero value is off.
type CORS struct {
	Origins     []string      `yaml:"origins"`     // such as https://app.example.com, or https://*.example.com for all below example.com; "*": any, not with credentials
	Methods     []string      `yaml:"methods"`     // beside GET, HEAD and POST, which always may; PUT, PATCH and DELETE by default
	Headers     []string      `yaml:"headers"`     // of requests that pages may send; what they ask for by default
	Expose      []string      `yaml:"expose"`      // of answers that pages may read, beside the safe ones; "*": all, not with credentials
	Credentials bool          `yaml:"credentials"` // true: with cookies and authorization
	MaxAge      time.Duration `yaml:"max_age"`     // how long browsers may keep an answer to a preflight (10m); off: not at all
}

// DefaultMaxAge is how long an answer to a preflight may be kept.
const DefaultMaxAge = 10 * time.Minute

// Enabled reports whether any origin may.
func (c CORS) Enabled() bool { return len(c.Origins) > 0 }

// WithDefaults returns c with everything filled in that is not said, unless it is
// off.
func (c CORS) WithDefaults() CORS {
	if !c.Enabled() {
		return c
	}
	if c.Methods == nil {
		c.Methods = []string{"PUT", "PATCH", "DELETE"}
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	return c
}

// Validate reports every mistake; each message begins with its key.
func (c CORS) Validate() error {
	var errs []error
	if !c.Enabled() && c.says() {
		errs = append(errs, errors.New("origins: are missing: list those whose pages may read answers, such as https://app.example.com"))
	}
	for i, origin := range c.Origins {
		if err := c.originFault(origin); err != nil {
			errs = append(errs, fmt.Errorf("origins[%d]: %w", i, err))
		}
	}
	if slices.Contains(c.Origins, "*") && len(c.Origins) > 1 {
		errs = append(errs, errors.New("origins: has \"*\", which is any, beside others: keep one of the two"))
	}
	for i, m := range c.Methods {
		if err := methodFault(m); err != nil {
			errs = append(errs, fmt.Errorf("methods[%d]: %w", i, err))
		}
	}
	for i, name := range c.Headers {
		if err := nameFault(name); name == "*" {
			errs = append(errs, fmt.Errorf("headers[%d]: * needs no list: leave headers out, and pages may send what they ask for", i))
		} else if err != nil {
			errs = append(errs, fmt.Errorf("headers[%d]: %w", i, err))
		}
	}
	errs = append(errs, c.exposeFaults()...)
	if c.MaxAge > 0 && c.MaxAge < time.Second {
		errs = append(errs, fmt.Errorf("max_age: %s is shorter than a second: write a duration such as 10m, or off", c.MaxAge))
	}
	return errors.Join(errs...)
}

// says reports whether anything but origins is said.
func (c CORS) says() bool {
	return c.Methods != nil || c.Headers != nil || c.Expose != nil || c.Credentials || c.MaxAge != 0
}

func (c CORS) originFault(origin string) error {
	switch {
	case origin == "*" && c.Credentials:
		return errors.New("\"*\" is any page there is, and with credentials each could act as the user: list the origins that may, or remove credentials")
	case origin == "null" && c.Credentials:
		return errors.New("null is what any page can be, and with credentials each could act as the user: remove it, or remove credentials")
	case origin == "*", origin == "null":
		return nil
	}
	_, err := parseOrigin(origin)
	return err
}

func (c CORS) exposeFaults() (errs []error) {
	for i, name := range c.Expose {
		if err := nameFault(name); name == "*" {
			if c.Credentials {
				errs = append(errs, fmt.Errorf("expose[%d]: * means nothing to a browser with credentials: list the names", i))
			}
		} else if err != nil {
			errs = append(errs, fmt.Errorf("expose[%d]: %w", i, err))
		}
	}
	return errs
}

// nameFault is about names that others send: an underscore is no fault there.
func nameFault(name string) error {
	if name == "" || len(name) > maxName || !isTokens(name) {
		return fmt.Errorf("%q is not the name of a field: write one such as X-Request-Id", name)
	}
	return nil
}

func isTokens(s string) bool {
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return true
}

func methodFault(m string) error {
	switch upper := strings.ToUpper(m); {
	case m == "*":
		return errors.New("* is not a method: list those that pages may use, such as PUT")
	case m == "" || !isTokens(m):
		return fmt.Errorf("%q is not a method: write one such as PUT", m)
	case upper == "CONNECT", upper == "TRACE", upper == "TRACK":
		return fmt.Errorf("%s is forbidden to every page: remove it", m)
	case m != upper: // methods differ by their case, and a page that says put sends PUT
		return fmt.Errorf("%q is not in capital letters, as methods are: write %s", m, upper)
	}
	return nil
}

// allowedMethods are those of c, and those that always may, each once.
func (c CORS) allowedMethods() string {
	out := []string{"GET", "HEAD", "POST"}
	for _, m := range c.Methods {
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return strings.Join(out, ", ")
}

// vary makes f say that the answer depends on name.
func vary(f *wire.Fields, name string) {
	first := -1
	for i := range *f {
		if !wire.Same((*f)[i].Name, "Vary") {
			continue
		}
		if listed((*f)[i].Value, name) || listed((*f)[i].Value, "*") {
			return
		}
		if first < 0 {
			first = i
		}
	}
	switch {
	case first < 0:
		f.Add("Vary", name)
	case strings.Trim((*f)[first].Value, " \t,") == "":
		(*f)[first].Value = name
	default:
		(*f)[first].Value += ", " + name
	}
}

// listed reports whether a list with commas has item, without regard to case.
func listed(list, item string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if wire.Same(strings.Trim(part, " \t"), item) {
			return true
		}
	}
	return false
}
