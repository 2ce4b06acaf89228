package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/caddyserver/certmagic"
)

// maxValue is far more than a chain, a key or an account needs.
const maxValue = 1 << 20

// ErrLockLost is what Unlock and RenewLockLease return when the lock had ended
// before: somebody else may have held it meanwhile.
var ErrLockLost = errors.New("storage: lock lost")

var (
	errClosed   = fmt.Errorf("the storage is closed: %w", fs.ErrClosed)
	errConflict = errors.New("a key cannot have both a value and keys below it")
)

// Storage is a place for certificates and what belongs to them. Its methods are
// those of certmagic, and safe for concurrent use:
//
//   - Store is atomic and on disk, or with the server, when it returns. Values
//     are at most 1 MiB.
//   - Load, Stat and List of what is not there return an error that is
//     fs.ErrNotExist. A storage that cannot be reached never does.
//   - List returns keys in order. It returns what is right below a prefix, or
//     when recursive every key with a value, however deep. The prefix "" is all.
//   - Delete removes a key and everything below it.
//   - Lock waits until it has the lock or ctx ends; TryLock does not wait. Every
//     goroutine may unlock what another one locked.
//   - Close gives back all locks and ends all goroutines. What is called
//     afterwards fails with fs.ErrClosed.
type Storage interface {
	certmagic.Storage
	certmagic.TryLocker
	io.Closer
}

// Open opens the storage that url names; the caller closes it. A nil log is silent.
//
//	file:/absolute/path
//	redis://[user:password@]host[:port][/db][?prefix=headgate:&lease=15s]
//	rediss://...    the same over TLS
//
// A directory is made when it is missing, and must be usable. A Redis server is
// not asked before it is needed, so it may come later than the gateway.
func Open(ctx context.Context, url string, log *slog.Logger) (Storage, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "file":
		dir, err := fileDir(rest)
		if err != nil {
			return nil, err
		}
		f, err := openFile(dir, log)
		if err != nil {
			return nil, fmt.Errorf("storage: %w", err)
		}
		return f, nil
	case "redis", "rediss":
		p, err := parseRedis(url)
		if err != nil {
			return nil, fmt.Errorf("storage: %w", err)
		}
		return newRedis(p, log), nil
	}
	// The text may hold a password: it is not repeated.
	return nil, errors.New("storage: no place that is known: write file:/path, redis://host:6379/0 or rediss://host:6379/0")
}

// fileDir is the directory of what follows "file:".
func fileDir(rest string) (string, error) {
	if strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///") {
		return "", fmt.Errorf("storage: file:%s names another machine: write file:/path", rest)
	}
	if !filepath.IsAbs(rest) {
		return "", fmt.Errorf("storage: %q is not an absolute path: write file:/path", rest)
	}
	if strings.ContainsRune(rest, 0) {
		return "", fmt.Errorf("storage: %q has a NUL byte: write file:/path", rest)
	}
	return filepath.Clean(rest), nil
}
