package watch

import "context"

// RunWithin is Run that asks the kernel to watch so many directories, and remembers so
// many files and directories.
func RunWithin(ctx context.Context, s Setup, dirs, files int) error {
	return run(ctx, s, limits{dirs, files})
}
