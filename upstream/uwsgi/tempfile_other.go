//go:build !linux

package uwsgi

import "os"

// TempFile opens a file in dir ("": os.TempDir) that has no name any more. The
// caller closes it.
func TempFile(dir string) (*os.File, error) { return namedFile(dir) }
