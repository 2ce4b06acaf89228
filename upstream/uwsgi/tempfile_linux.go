package uwsgi

import (
	"os"
	"syscall"
)

// otmpfile is O_TMPFILE, which package syscall does not have.
const otmpfile = 0x400000 | syscall.O_DIRECTORY

// TempFile opens a file in dir ("": os.TempDir) that has no name, so that nobody
// else can open it, and its space is free again once it is closed, also when the
// process is killed. The caller closes it.
func TempFile(dir string) (*os.File, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := os.OpenFile(dir, os.O_RDWR|os.O_EXCL|otmpfile, 0o600)
	if err == nil {
		return f, nil
	}
	return namedFile(dir)
}
