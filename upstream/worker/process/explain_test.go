//go:build linux

package process_test

import (
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"headgate/upstream/worker/process"
)

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ours, ok := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "riscv64": elf.EM_RISCV}[runtime.GOARCH]
	if !ok {
		t.Skip("which machine is this?")
	}
	for _, test := range []struct {
		name string
		spec process.Spec
		is   error
		want string
	}{
		{"no program", process.Spec{}, nil, "no program to start"},
		{"not in PATH", process.Spec{Path: "nosuch", Env: []string{path}}, fs.ErrNotExist, "is in no directory of PATH (/usr/local/sbin:"},
		{"not there", process.Spec{Path: dir + "/nosuch"}, fs.ErrNotExist, "/nosuch is not there: install it"},
		{"relative to dir", process.Spec{Path: "bin/nosuch", Dir: dir}, fs.ErrNotExist, dir + "/bin/nosuch is not there"},
		{"dir is not there", process.Spec{Path: "/bin/sh", Dir: dir + "/none"}, fs.ErrNotExist, "the working directory " + dir + "/none is not there: make it"},
		{"dir is a file", process.Spec{Path: "/bin/sh", Dir: "/etc/passwd"}, nil, "the working directory /etc/passwd is a file"},
		{
			"interpreter is not there",
			process.Spec{Path: file("old", "#!/usr/bin/python2.5 -u\nprint 1\n", 0o755)},
			fs.ErrNotExist,
			"its first line (#!) names /usr/bin/python2.5, which is not there",
		},
		{
			"interpreter with a CR",
			process.Spec{Path: file("dos", "#!/bin/sh\r\necho\r\n", 0o755)},
			fs.ErrNotExist,
			`names "/bin/sh\r", which is not there: write it with ends of lines as Unix has them`,
		},
		{"loader is not there", process.Spec{Path: file("musl", elfFile(ours, "/lib/ld-nosuch.so.1"), 0o755)}, fs.ErrNotExist, "needs /lib/ld-nosuch.so.1, which is not there"},
		{"not executable", process.Spec{Path: file("plain", "#!/bin/sh\n", 0o644)}, fs.ErrPermission, "/plain may not be executed by this user (mode 0644): chmod +x it"},
		{"directory", process.Spec{Path: dir}, fs.ErrPermission, "is a directory"},
		{"interpreter not executable", process.Spec{Path: file("by", "#!"+dir+"/plain\n", 0o755)}, fs.ErrPermission, "/by names " + dir + "/plain: "},
		{"other machine", process.Spec{Path: file("arm", elfFile(elf.EM_S390, ""), 0o755)}, nil, "built for another machine (EM_S390, and this is "},
		{"no program at all", process.Spec{Path: file("text", "echo hello\n", 0o755)}, nil, "begin it with #!"},
		{"empty", process.Spec{Path: file("empty", "", 0o755)}, nil, "/empty is empty"},
		{"too long", process.Spec{Path: "/bin/sh", Args: []string{strings.Repeat("a", 4<<20)}}, nil, "are too long"},
		{"NUL", process.Spec{Path: "/bin/sh", Args: []string{"a\x00b"}}, nil, "NUL"},
		{"NUL in a variable", process.Spec{Path: "/bin/sh", Env: []string{"A=a\x00b"}}, nil, "NUL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := process.Start(test.spec)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q in it", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v is not %v", err, test.is)
			}
		})
	}
}

// elfFile is a program of a machine that needs a loader.
func elfFile(machine elf.Machine, loader string) string {
	le16 := func(n int) string { return string([]byte{byte(n), byte(n >> 8)}) }
	le32 := func(n int) string { return le16(n&0xffff) + le16(n>>16) }
	le64 := func(n int) string { return le32(n) + le32(0) }
	s := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9)
	s += le16(int(elf.ET_EXEC)) + le16(int(machine)) + le32(1)
	s += le64(0x400078) + le64(64) + le64(0) + le32(0) + le16(64) + le16(56) + le16(1) + le16(64) + le16(0) + le16(0)
	loader += "\x00"
	s += le32(int(elf.PT_INTERP)) + le32(4) + le64(120) + le64(0x400078) + le64(0x400078) + le64(len(loader)) + le64(len(loader)) + le64(1)
	return s + loader
}

func TestStartErrorsOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	nobody, err := process.LookUpUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "app") // of root alone, as all above it
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o700); err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(dir, "bin", "tool")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		spec process.Spec
		want string
	}{
		{process.Spec{Path: "/bin/sh", Dir: dir}, "the working directory " + dir + " may not be entered by nobody, for the mode of " + filepath.Dir(filepath.Dir(dir)) + " is 0700: "},
		{process.Spec{Path: tool, Dir: "/"}, "the directory " + dir + "/bin may not be entered by nobody, for the mode of "},
	} {
		test.spec.User = nobody
		_, err := process.Start(test.spec)
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestOthersMayNotChangeTheUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	nobody, err := process.LookUpUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	for as, want := range map[string]string{
		"root":   "cannot be run as root, for that needs root, or CAP_SETUID",
		"nobody": "exited with status 0",
	} {
		p, err := process.Start(process.Spec{Path: "/proc/self/exe", Dir: "/", User: nobody, Env: []string{role + "=user", path}, Args: []string{as}})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, p)
		if got := strings.Join(p.Tail(), "\n"); !strings.Contains(got, want) {
			t.Errorf("as %s: %q, want %q", as, got, want)
		}
	}
}
