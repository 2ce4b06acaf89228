//go:build unix

package cache

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// claim makes d that of this process. ok is false while another one has it, as
// while a new binary takes over.
func (d *directory) claim() (ok bool, err error) {
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return false, err
	}
	d.lock = f
	return true, nil
}
