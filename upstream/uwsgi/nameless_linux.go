package uwsgi

import (
	"os"
	"syscall"
)

// otmpfile is O_TMPFILE, which package syscall does not have.
const otmpfile = 0x400000 | syscall.O_DIRECTORY

// namelessFile opens a file in dir that never has a name, so that nobody can
// open it and it cannot be left over. Some file systems cannot do that.
func namelessFile(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDWR|os.O_EXCL|otmpfile, 0o600)
	if err == nil {
		return f, nil
	}
	return namedFile(dir)
}
