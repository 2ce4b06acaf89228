//go:build !linux

package uwsgi

import "os"

func namelessFile(dir string) (*os.File, error) { return namedFile(dir) }
