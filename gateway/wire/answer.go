package wire

import "os"

// Answer is where an answer goes: the part of a Stream that filters stand in front
// of. Its methods are those of Stream. One goroutine at a time uses it.
type Answer interface {
	WriteHead(status int, f Fields, length int64)
	Write(p []byte) (int, error)
	Flush() error
}

// FileSender is implemented by an Answer that can send a part of a file without
// copying it through memory. n bytes from offset are sent, or an error is
// returned; n is at most what is left of the declared length. It is a Write in all
// other respects.
type FileSender interface {
	SendFile(f *os.File, offset, n int64) (int64, error)
}
