package acme

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// persistRecord is what a TXT record of dns-persist-01 says: an issue-value of RFC
// 8659 section 4.2 with the parameters of the draft.
type persistRecord struct {
	issuer   string
	account  string
	wildcard bool
	until    time.Time // zero: for good
}

// parsePersist reads a record. Parameters that it does not know are passed over.
func parsePersist(text string) (persistRecord, error) {
	parts := strings.Split(text, ";")
	r := persistRecord{issuer: strings.ToLower(strings.TrimSuffix(trimBlank(parts[0]), "."))}
	if r.issuer == "" {
		return persistRecord{}, errors.New("names no authority")
	}
	seen := map[string]bool{}
	for _, part := range parts[1:] {
		tag, value, ok := strings.Cut(trimBlank(part), "=")
		tag, value = strings.ToLower(trimBlank(tag)), trimBlank(value)
		switch {
		case !ok || tag == "":
			return persistRecord{}, fmt.Errorf("has %q where a parameter like tag=value belongs", part)
		case seen[tag]:
			return persistRecord{}, fmt.Errorf("has the parameter %s twice", tag)
		case strings.ContainsFunc(value, notInValue):
			return persistRecord{}, fmt.Errorf("has a character in %s that cannot be there", tag)
		}
		seen[tag] = true
		if err := r.set(tag, value); err != nil {
			return persistRecord{}, err
		}
	}
	return r, nil
}

func (r *persistRecord) set(tag, value string) error {
	switch tag {
	case "accounturi":
		r.account = value
	case "policy":
		r.wildcard = strings.EqualFold(value, "wildcard")
	case "persistuntil":
		sec, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("has %q for persistUntil, which is a number of seconds since 1970", value)
		}
		r.until = time.Unix(sec, 0)
	}
	return nil
}

func trimBlank(s string) string { return strings.Trim(s, " \t") }

// notInValue reports what RFC 8659 section 4.2 does not have in values.
func notInValue(r rune) bool { return r < 0x21 || r > 0x7e || r == ';' }

// persistWant is what a record has to say.
type persistWant struct {
	issuers  []string // one of them
	account  string
	wildcard bool
}

// fits returns what stands in the way of r at the moment now.
func (w persistWant) fits(r persistRecord, now time.Time) error {
	switch {
	case !slices.Contains(w.issuers, r.issuer):
		return errors.New("is of another authority")
	case r.account == "":
		return errors.New("names no account")
	case r.account != w.account:
		return errors.New("is of another account")
	case w.wildcard && !r.wildcard:
		return errors.New("has no policy=wildcard")
	case !r.until.IsZero() && now.After(r.until):
		return fmt.Errorf("ended at %s", r.until.UTC().Format(time.RFC3339))
	}
	return nil
}

// String is the record to create.
func (w persistWant) String() string {
	text := w.issuers[0] + "; accounturi=" + w.account
	if w.wildcard {
		text += "; policy=wildcard"
	}
	return text
}
