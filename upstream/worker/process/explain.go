package process

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// explain says why a program could not be started, and what helps. The kernel gives
// one number for the program, its interpreter and the working directory.
func explain(s Spec, path string, err error) error {
	dir := cmp.Or(s.Dir, ".")
	file := path
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	text := ""
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		text = cmp.Or(badDir(s.Dir), missing(file))
	case errors.Is(err, syscall.EACCES):
		text = cmp.Or(barred(dir, s.User, "the working directory "), refused(file, s.User))
	case errors.Is(err, syscall.ENOEXEC):
		text = unfit(file)
	case errors.Is(err, syscall.EPERM) && s.User != nil:
		text = fmt.Sprintf("%s cannot be run as %s, for that needs root, or CAP_SETUID and CAP_SETGID: start the gateway as root, or name no user", path, s.User.Name)
	default:
		text = exhausted(path, err)
	}
	if text == "" {
		return fmt.Errorf("%s cannot be started: %w", path, unwrapPath(err))
	}
	return &startError{unwrapPath(err), text}
}

// unwrapPath takes off the "fork/exec PATH" of os.
func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// badDir says what is wrong with a working directory; "": nothing.
func badDir(dir string) string {
	if dir == "" {
		return ""
	}
	switch i, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("the working directory %s is not there: make it, or name another", dir)
	case err == nil && !i.IsDir():
		return fmt.Sprintf("the working directory %s is a file: name a directory", dir)
	}
	return ""
}

// missing says what of a program is not there.
func missing(file string) string {
	if _, err := os.Stat(file); err != nil {
		return fmt.Sprintf("%s is not there: install it, or name another program", file)
	}
	by, ok := shebang(file)
	if strings.HasSuffix(by, "\r") {
		return fmt.Sprintf("%s is there, but its first line (#!) names %q, which is not there: write it with ends of lines as Unix has them, not CR LF", file, by)
	}
	if ok {
		return fmt.Sprintf("%s is there, but its first line (#!) names %s, which is not there: "+
			"write one that is, or make the virtual environment anew", file, cmp.Or(by, "nothing"))
	}
	if loader := interpreter(file); loader != "" {
		return fmt.Sprintf("%s is there, but needs %s, which is not there: it was built for another system, install one for this", file, loader)
	}
	return ""
}

// refused says why a program may not be executed.
func refused(file string, u *User) string {
	if text := barred(filepath.Dir(file), u, "the directory "); text != "" {
		return text
	}
	i, err := os.Stat(file)
	switch {
	case err != nil:
		return ""
	case i.IsDir():
		return fmt.Sprintf("%s is a directory: name a program in it", file)
	case !mayEnter(i, u):
		return fmt.Sprintf("%s may not be executed by %s (mode %#o): chmod +x it, or name another program", file, u.called(), i.Mode().Perm())
	}
	if by, ok := shebang(file); ok && by != "" {
		if inner := refused(by, u); inner != "" && by != file {
			return fmt.Sprintf("the first line (#!) of %s names %s: %s", file, by, inner)
		}
	}
	return fmt.Sprintf("%s may not be executed: look whether its file system is mounted noexec, or a security module forbids it", file)
}

// barred finds the first directory on the way to dir, dir included, that the user may
// not enter. "": there is none, as far as its mode tells.
func barred(dir string, u *User, what string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	var way []string
	for at := abs; ; at = filepath.Dir(at) {
		way = append(way, at)
		if at == filepath.Dir(at) {
			break
		}
	}
	for _, at := range slices.Backward(way) {
		i, err := os.Stat(at)
		if err != nil || mayEnter(i, u) {
			continue
		}
		where := "it"
		if at != abs {
			where = at
		}
		return fmt.Sprintf("%s%s may not be entered by %s, for the mode of %s is %#o: change the mode (chmod +x), or move what is in it",
			what, dir, u.called(), where, i.Mode().Perm())
	}
	return ""
}

// called is how the user is called; nil is us.
func (u *User) called() string {
	if u == nil {
		return "this user"
	}
	return u.Name
}

// mayEnter tells whether a mode lets a user execute a file or enter a directory.
func mayEnter(i os.FileInfo, u *User) bool {
	uid, gids := uint32(os.Geteuid()), []uint32{uint32(os.Getegid())}
	if u != nil {
		uid, gids = u.UID, append([]uint32{u.GID}, u.Groups...)
	} else if more, err := os.Getgroups(); err == nil {
		for _, g := range more {
			gids = append(gids, uint32(g))
		}
	}
	st, ok := i.Sys().(*syscall.Stat_t)
	mode := i.Mode().Perm()
	switch {
	case !ok, uid == 0 && (i.IsDir() || mode&0o111 != 0):
		return true
	case uid == st.Uid:
		return mode&0o100 != 0
	case slices.Contains(gids, st.Gid):
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

// interpreter is the loader that an ELF program asks for; "": none is known.
func interpreter(file string) string {
	f, err := elf.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz == 0 || p.Filesz > 4096 {
			continue
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return ""
		}
		return string(b[:len(b)-1]) // without its NUL
	}
	return ""
}

// unfit says why a file is no program for this machine.
func unfit(file string) string {
	if f, err := elf.Open(file); err == nil {
		defer f.Close()
		return fmt.Sprintf("%s was built for another machine (%s, and this is %s): install one for this", file, f.Machine, runtime.GOARCH)
	}
	if i, err := os.Stat(file); err == nil && i.Size() == 0 {
		return fmt.Sprintf("%s is empty: install it again", file)
	}
	return fmt.Sprintf("%s is neither a program nor a script with an interpreter in its first line: begin it with #!, or name its interpreter as the program", file)
}

// exhausted says what there is too little of.
func exhausted(path string, err error) string {
	switch {
	case errors.Is(err, syscall.E2BIG):
		return fmt.Sprintf("the arguments and the environment of %s are too long: write fewer or shorter ones", path)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Sprintf("%s cannot be started, for there are too many processes: allow more (ulimit -u, TasksMax, pids.max)", path)
	case errors.Is(err, syscall.ENOMEM):
		return fmt.Sprintf("%s cannot be started, for there is too little memory: start fewer processes, or allow more memory", path)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Sprintf("%s cannot be started, for too many files are open: allow more (ulimit -n, LimitNOFILE)", path)
	case errors.Is(err, syscall.ETXTBSY):
		return fmt.Sprintf("%s cannot be started, for it is being written: try again when it is complete", path)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Sprintf("%s cannot be started: an argument or a variable has a NUL byte in it: take it out", path)
	}
	return ""
}
