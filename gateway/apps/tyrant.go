package apps

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"

	"headgate/gateway/config"
	"headgate/upstream/worker/process"
)

// tyrant gives the workers of f the owner of its file as their user. It refuses
// files that others than their owner may write, apps that would run as root, and,
// of owners who are not root, whatever would have the gateway open something for them
// that they may not open themselves.
func tyrant(f *config.Fragment, s stamp) (*config.Fragment, error) {
	switch {
	case s.mode&0o022 != 0:
		return nil, wrong(f.File, "others than its owner may write it, and say so what runs as its owner", "chmod go-w "+f.File)
	case s.link && s.linkUID != s.uid && s.linkUID != 0:
		return nil, wrong(f.File, "is a link of one user to a file of another", "link to a file of the same user, or have root make the link")
	case s.uid == 0:
		return ofRoot(f)
	case s.gid == 0:
		return nil, wrong(f.File, "belongs to the group root, and no app runs with it", "chgrp it to a group of its owner")
	}
	f = ownRoutes(f)
	if what := f.Opens(); what != "" {
		return nil, wrong(f.File, what+" is opened by the gateway, which is root and not the owner of this file",
			"chown the file to root, and say user: in its workers; or let the app do it")
	}
	return ofOwner(f, s)
}

// ofRoot wants a user for what root has written.
func ofRoot(f *config.Fragment) (*config.Fragment, error) {
	w := f.Workers()
	if w == nil {
		return f, nil
	}
	name, cure := w.User, "write user: NAME within workers, or chown the file to the user that the app runs as"
	if f.Vassal != nil {
		cure = "write user = NAME in a section [headgate], or uid = NAME, or chown the file to the user that the app runs as"
		if name == "" {
			name = f.Vassal.User
		}
	}
	if name == "" {
		return nil, wrong(f.File, "belongs to root, and no app runs as root", cure)
	}
	u, err := process.LookUpUser(name)
	switch {
	case err != nil:
		return nil, wrong(f.File, err.Error(), "")
	case u.UID == 0 || u.GID == 0:
		return nil, wrong(f.File, fmt.Sprintf("the user %s is root or has its group, and no app runs as root", name), "name another user")
	}
	return as(f, name), nil
}

// ofOwner makes the owner of the file the user of its workers.
func ofOwner(f *config.Fragment, s stamp) (*config.Fragment, error) {
	w := f.Workers()
	if w == nil {
		return f, nil
	}
	owner := nameOf(s)
	if w.User == "" {
		return as(f, owner), nil
	}
	u, err := process.LookUpUser(w.User)
	switch {
	case err != nil:
		return nil, wrong(f.File, err.Error(), "")
	case u.UID != s.uid:
		return nil, wrong(f.File, fmt.Sprintf("the user is %s, and the file belongs to %s", w.User, owner), "remove user, or chown the file to root")
	case u.GID != s.gid && !isIn(s.uid, u.GID):
		return nil, wrong(f.File, fmt.Sprintf("the owner of the file is not in the group of %s", w.User), "remove the group, or chown the file to root")
	}
	return f, nil
}

// isIn reports whether a user is in a group.
func isIn(uid, gid uint32) bool {
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && gid != 0 && (u.Gid == strconv.Itoa(int(gid)) || slices.Contains(groups, strconv.Itoa(int(gid))))
}

// nameOf names the owner and the group of a file, as numbers where they have no name.
func nameOf(s stamp) string {
	name, group := strconv.Itoa(int(s.uid)), strconv.Itoa(int(s.gid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name + ":" + group
}

// as is f with workers that run as a user.
func as(f *config.Fragment, name string) *config.Fragment {
	out, pool, workers := *f, *f.Pool, *f.Pool.Workers
	workers.User = name
	pool.Workers, out.Pool = &workers, &pool
	return &out
}

// ownRoutes leaves the static-map of an ini file to uWSGI, which has the rights of the
// owner.
func ownRoutes(f *config.Fragment) *config.Fragment {
	if f.Vassal == nil || f.Vassal.Static == 0 {
		return f
	}
	out := *f
	out.Site.Routes = f.Site.Routes[f.Vassal.Static:]
	return &out
}
