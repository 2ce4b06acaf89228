package process_test

import (
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/worker/process"
)

func TestLookUpUser(t *testing.T) {
	root := process.User{Name: "root", Home: "/root"}
	for name, want := range map[string]process.User{
		"root":        {Name: "root", Home: root.Home},
		"0":           {Name: "root", Home: root.Home},
		"root:12345":  {Name: "root", Home: root.Home, GID: 12345},
		"54321:12345": {Name: "54321", UID: 54321, GID: 12345, Home: "/"},
		"54321:0":     {Name: "54321", UID: 54321, Home: "/"},
	} {
		got, err := process.LookUpUser(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want.Name == "root" {
			if !slices.Contains(got.Groups, 0) {
				t.Errorf("%s: groups %v, want that of root among them", name, got.Groups)
			}
			want.Home = got.Home // differs between systems
			want.Groups = got.Groups
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestLookUpUserWithAGroupByName(t *testing.T) {
	daemon, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip(err)
	}
	got, err := process.LookUpUser("nobody:daemon")
	if err != nil {
		t.Fatal(err)
	}
	if strconv.Itoa(int(got.GID)) != daemon.Gid || got.UID == 0 {
		t.Errorf("user %+v, want the group %s", got, daemon.Gid)
	}
}

func TestLookUpUserErrors(t *testing.T) {
	for name, want := range map[string]string{
		"":               "write user, or user:group",
		"root:":          "write user, or user:group",
		":root":          "write user, or user:group",
		"nosuchuser":     `there is no user "nosuchuser": make it with useradd --system nosuchuser`,
		"root:nosuchgrp": `there is no group "nosuchgrp": make it with groupadd`,
		"54321":          "write 54321:GROUP",
		"4294967295:1":   "from 0 to 4294967294",
		"99999999999:1":  `there is no user "99999999999"`,
		"root:a:b":       `there is no group "a:b"`,
	} {
		u, err := process.LookUpUser(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, error %v, want %q", name, u, err, want)
		}
	}
}
