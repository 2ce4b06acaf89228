//go:build !unix

package watch

import "os"

// id is what a file or directory is: its name, where the system tells no more.
type id struct{ path string }

// identify returns the id of what is at path.
func identify(path string, _ os.FileInfo) id { return id{path} }
