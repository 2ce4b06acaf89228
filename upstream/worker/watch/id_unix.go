//go:build unix

package watch

import (
	"os"
	"syscall"
)

// id is what a file or directory is, whatever it is called.
type id struct{ device, inode uint64 }

// identify returns the id of what is at path.
func identify(_ string, i os.FileInfo) id {
	st, ok := i.Sys().(*syscall.Stat_t)
	if !ok {
		return id{}
	}
	return id{uint64(st.Dev), uint64(st.Ino)} //nolint:unconvert // their types differ between systems
}
