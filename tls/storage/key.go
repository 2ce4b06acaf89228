package storage

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxKey   = 1024
	maxPart  = 255 // NAME_MAX
	locksDir = "locks"
)

// checkKey refuses what is no key. What passes names a file below a directory,
// whatever that directory is.
func checkKey(key string) error {
	if err := badKey(key); err != nil {
		return fmt.Errorf("key %.80q: %w", key, err)
	}
	return nil
}

func badKey(key string) error {
	switch {
	case key == "":
		return errors.New("is empty")
	case len(key) > maxKey:
		return fmt.Errorf("is longer than %d bytes", maxKey)
	case !utf8.ValidString(key):
		return errors.New("is not UTF-8")
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("has control characters")
	case key == locksDir || strings.HasPrefix(key, locksDir+"/"):
		return errors.New("is where locks are")
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "":
			return errors.New("has an empty part: write it without a slash at its ends and without two in a row")
		case part[0] == '.':
			return errors.New("has a part that starts with a dot")
		case len(part) > maxPart:
			return fmt.Errorf("has a part of more than %d bytes", maxPart)
		}
	}
	return nil
}

// checkPrefix is checkKey for what List takes: "" is everything.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return checkKey(prefix)
}

// checkName refuses what is no name of a lock.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("lock: the name is empty")
	case len(name) > maxKey:
		return fmt.Errorf("lock %.80q: the name is longer than %d bytes", name, maxKey)
	}
	return nil
}

func checkValue(value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("the value has %d bytes, more than %d: it is no certificate or key", len(value), maxValue)
	}
	return nil
}

// ancestors are the directories above key, nearest last.
func ancestors(key string) []string {
	var dirs []string
	for i := range len(key) {
		if key[i] == '/' {
			dirs = append(dirs, key[:i])
		}
	}
	return dirs
}
