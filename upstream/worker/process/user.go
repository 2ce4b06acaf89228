package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// LookUpUser finds "user" or "user:group", by names or numbers. A name of digits is
// looked for as a name first. A group takes the place of the user's own; those that
// the user is in besides remain. A number that no user has needs a group, and has
// no others. Files of the system are read, and without cgo nothing else.
func LookUpUser(name string) (*User, error) {
	who, group, grouped := strings.Cut(name, ":")
	if who == "" || (grouped && group == "") {
		return nil, fmt.Errorf("%q is no user: write user, or user:group", name)
	}
	u, err := findUser(who, grouped)
	if err != nil {
		return nil, err
	}
	if grouped {
		if u.GID, err = findGroup(group); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// findUser finds a user with its own groups.
func findUser(who string, grouped bool) (*User, error) {
	found, err := user.Lookup(who)
	_, notNumber := strconv.ParseUint(who, 10, 32)
	if err != nil && notNumber == nil {
		found, err = user.LookupId(who)
	}
	switch {
	case err == nil:
		return withGroups(found)
	case notNumber != nil:
		return nil, notFound(err, "user", who, "make it with useradd --system "+who)
	case !grouped:
		return nil, fmt.Errorf("no user has the number %s, so its group is not known: write %s:GROUP", who, who)
	}
	id, err := number(who)
	if err != nil {
		return nil, err
	}
	return &User{Name: who, UID: id, Home: "/"}, nil
}

// withGroups makes a User of one that was found.
func withGroups(found *user.User) (*User, error) {
	u := &User{Name: found.Username, Home: found.HomeDir}
	var errs [2]error
	u.UID, errs[0] = number(found.Uid)
	u.GID, errs[1] = number(found.Gid)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Name, err)
	}
	ids, err := found.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of the user %s: %w", u.Name, err)
	}
	for _, id := range ids {
		n, err := number(id)
		if err != nil {
			return nil, fmt.Errorf("groups of the user %s: %w", u.Name, err)
		}
		u.Groups = append(u.Groups, n)
	}
	return u, nil
}

// findGroup finds a group by its name or number; a number needs no name.
func findGroup(name string) (uint32, error) {
	found, err := user.LookupGroup(name)
	if err == nil {
		return number(found.Gid)
	}
	if n, err := number(name); err == nil {
		return n, nil
	}
	return 0, notFound(err, "group", name, "make it with groupadd --system "+name)
}

// notFound says that there is no such user or group, or why that is not known.
func notFound(err error, kind, name, cure string) error {
	var u user.UnknownUserError
	var g user.UnknownGroupError
	if errors.As(err, &u) || errors.As(err, &g) {
		return fmt.Errorf("there is no %s %q: %s, or write another one, or its number", kind, name, cure)
	}
	return fmt.Errorf("%s %q: %w", kind, name, err)
}

// number reads an id. The last one means "nobody said one" to the kernel.
func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("%q is not a number of a user or group: write one from 0 to 4294967294", s)
	}
	return uint32(n), nil
}

// credential is what the kernel needs to change to the user; nil when we are it, and
// may not change anything.
func (u *User) credential() *syscall.Credential {
	if os.Geteuid() != 0 && int(u.UID) == os.Geteuid() && int(u.GID) == os.Getegid() {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}
