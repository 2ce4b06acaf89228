package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// maxWrong bounds how many mistakes of a file are told.
const maxWrong = 10

// users are what a file of passwords says, and which pairs of it were right. They are
// immutable but for that.
type users struct {
	index    map[string]int // of hashes
	hashes   []hash
	verified *verified
}

// parseUsers reads a file. Each error begins with the number of its line, and has no
// part of a hash or a password in it.
func parseUsers(text string) (*users, error) {
	u := &users{index: make(map[string]int), verified: newVerified()}
	lines := make(map[string]int) // where each user is
	var errs []error
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, h, err := parseUser(line)
		if first, ok := lines[name]; ok && err == nil {
			err = fmt.Errorf("user %q is in line %d already: remove one of the two", name, first)
		}
		if err != nil {
			if errs = append(errs, fmt.Errorf("line %d: %w", n, err)); len(errs) == maxWrong {
				break
			}
			continue
		}
		lines[name], u.index[name] = n, len(u.hashes)
		u.hashes = append(u.hashes, h)
	}
	if len(errs) == 0 && len(u.hashes) == 0 {
		errs = append(errs, errors.New("has no user: write a line with headgate hash-password --user NAME"))
	}
	return u, errors.Join(errs...)
}

// parseUser reads name:hash.
func parseUser(line string) (name string, h hash, err error) {
	name, coded, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		return "", nil, errors.New("is not name:hash: write it with headgate hash-password --user NAME")
	case name == "":
		return "", nil, errors.New("has no name in front of the colon: write it with headgate hash-password --user NAME")
	}
	if err := CheckUser(name); err != nil {
		return "", nil, err
	}
	if h, err = parseHash(coded); err != nil {
		return "", nil, fmt.Errorf("user %q %w: write it with headgate hash-password --user %s", name, err, name)
	}
	return name, h, nil
}

// CheckUser reports a name that cannot be in a file of passwords, or that no browser
// can send.
func CheckUser(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty: write one")
	case len(name) > maxUser:
		return fmt.Errorf("the name is longer than %d bytes: choose a shorter one", maxUser)
	case !printable(name), strings.Contains(name, ":"), name[0] == '#', strings.TrimSpace(name) != name:
		return fmt.Errorf("the name %q has a colon, a control character, a # at its beginning, white space around it, or is not UTF-8: choose another", name)
	}
	return nil
}

// verify does what the password of user costs, whether there is that user or not.
func (u *users) verify(user, password string) bool {
	i, known := u.index[user]
	if !known {
		// As dear as that of some user, the same one each time: who knows the
		// times of a few names does not know whether there is another.
		sum := u.verified.digest(user, "")
		i = int(binary.BigEndian.Uint64(sum[:8]) % uint64(len(u.hashes)))
	}
	return u.hashes[i].verify(password) && known
}
