package certs

import "context"

// Storage keeps what has to survive a restart: certificates with their keys,
// accounts, the local authority, challenges, ticket keys. Gateways that share
// one share all of these. It is the part of certmagic's Storage that is needed
// here, with its meaning: keys are paths with slashes, a key that is not there is
// fs.ErrNotExist, Store is atomic, and a lock ends with the process that holds it
// or, where nobody can tell, with its lease. Safe for concurrent use.
type Storage interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error // a key that is not there is no error
	List(ctx context.Context, prefix string, recursive bool) ([]string, error)

	Lock(ctx context.Context, name string) error
	TryLock(ctx context.Context, name string) (bool, error)
	Unlock(ctx context.Context, name string) error
}
