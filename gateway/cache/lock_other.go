//go:build !unix

package cache

import (
	"os"
	"path/filepath"
)

// claim makes d that of this process. Nothing tells here that another one has it.
func (d *directory) claim() (ok bool, err error) {
	d.lock, err = os.OpenFile(filepath.Join(d.path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	return err == nil, err
}
