package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	redisDial     = 5 * time.Second
	redisIO       = 3 * time.Second // each, reading and writing
	redisPool     = 16
	redisAttempts = 3
	redisBackoff  = 50 * time.Millisecond // before the second attempt, four times that before the third
	redisBatch    = 1000                  // keys a script looks at before it lets others have their turn
)

// Redis is a [Storage] in a Redis server that several gateways share. Use Open to
// make one. A method of it ends at the latest some seconds after its ctx.
type Redis struct {
	params  redisParams
	client  *redis.Client
	scripts scripts
	log     *slog.Logger
	locks   *locks[*lease]
	asked   atomic.Bool // whether the server forgets what it is given
}

// newRedis asks the server nothing.
func newRedis(p redisParams, log *slog.Logger) *Redis {
	logging.Disable() // the library's log is one for all; what it says comes as errors too
	o := &redis.Options{
		Addr: p.addr(), Username: p.user, Password: p.password, DB: p.db,
		DialTimeout: redisDial, ReadTimeout: redisIO, WriteTimeout: redisIO, ContextTimeoutEnabled: true,
		PoolSize: redisPool, PoolTimeout: redisDial, ConnMaxIdleTime: 5 * time.Minute,
		DialerRetries: 1, MaxRetries: -1, // call does that, and knows when not to
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if p.secure {
		o.TLSConfig = &tls.Config{ServerName: p.host, MinVersion: tls.VersionTLS12}
	}
	return &Redis{params: p, client: redis.NewClient(o), scripts: newScripts(), log: log, locks: newLocks[*lease]()}
}

// String is the URL of the storage without user and password.
func (r *Redis) String() string {
	scheme := "redis"
	if r.params.secure {
		scheme = "rediss"
	}
	return fmt.Sprintf("%s://%s/%d", scheme, r.params.addr(), r.params.db)
}

func (r *Redis) value(key string) string { return r.params.prefix + "value:" + key }
func (r *Redis) index() string           { return r.params.prefix + "index" }

// run runs a script, again after a connection broke: all of them may run twice.
func (r *Redis) run(ctx context.Context, op, key string, s *redis.Script, keys []string, args ...any) (any, error) {
	v, _, err := r.runCount(ctx, op, key, s, keys, args...)
	return v, err
}

// runCount is run that tells how many attempts were made.
func (r *Redis) runCount(ctx context.Context, op, key string, s *redis.Script, keys []string, args ...any) (any, int, error) {
	for attempt := 1; ; attempt++ {
		if err := r.locks.err(); err != nil {
			return nil, attempt, err
		}
		v, err := s.Run(ctx, r.client, keys, args...).Result()
		if err == nil || errors.Is(err, redis.Nil) {
			return v, attempt, nil
		}
		if errors.Is(err, redis.ErrClosed) {
			return nil, attempt, errClosed
		}
		if attempt == redisAttempts || !again(err) || !r.wait(ctx, redisBackoff<<(2*attempt-2)) {
			return nil, attempt, r.wrap(op, key, inTime(ctx, err))
		}
	}
}

// inTime makes of err an error of ctx when ctx has ended, and only then: the time
// that the library gives a dial is not the caller's.
func inTime(ctx context.Context, err error) error {
	end := ctx.Err()
	if d, ok := ctx.Deadline(); end == nil && ok && !time.Now().Before(d) {
		end = context.DeadlineExceeded // a socket's deadline may be noticed first
	}
	switch {
	case end != nil && !errors.Is(err, end):
		return fmt.Errorf("%w: %w", end, err)
	case end == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)):
		return errNoAnswer
	}
	return err
}

// wait waits for d, give or take a quarter, and reports whether it got there.
func (r *Redis) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d*3/4 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-r.locks.done:
	}
	return false
}

func missing(op, key string) error {
	return &fs.PathError{Op: op, Path: key, Err: fs.ErrNotExist}
}

// Load returns the value of key.
func (r *Redis) Load(ctx context.Context, key string) ([]byte, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	v, err := r.run(ctx, "load", key, r.scripts.load, []string{r.value(key)}, maxValue)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil:
		return nil, missing("load", key)
	case string:
		return []byte(v), nil
	}
	return nil, r.wrap("load", key, fmt.Errorf("the value has %v bytes, more than %d: it is no certificate or key", v, maxValue))
}

// Store makes value the value of key.
func (r *Redis) Store(ctx context.Context, key string, value []byte) error {
	if err := errors.Join(checkKey(key), checkValue(value), ctx.Err()); err != nil {
		return err
	}
	args := []any{key, value}
	for _, dir := range ancestors(key) {
		args = append(args, dir)
	}
	v, err := r.run(ctx, "store", key, r.scripts.store, []string{r.value(key), r.index()}, args...)
	if err != nil {
		return err
	}
	if v != int64(1) {
		return r.wrap("store", key, errConflict)
	}
	if r.asked.CompareAndSwap(false, true) {
		r.ask(ctx)
	}
	return nil
}

// ask warns once of a server that throws away what it was given when its memory is
// full. One that may not be asked is trusted.
func (r *Redis) ask(ctx context.Context) {
	info, err := r.client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return
	}
	policy, limit := info["Memory"]["maxmemory_policy"], info["Memory"]["maxmemory"]
	if policy != "" && policy != "noeviction" && limit != "0" {
		r.log.Warn("redis may throw away certificates and locks: set maxmemory-policy noeviction", "addr", r.params.addr(), "policy", policy)
	}
}

// Delete removes key and everything below it.
func (r *Redis) Delete(ctx context.Context, key string) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	for {
		v, err := r.run(ctx, "delete", key, r.scripts.remove, []string{r.value(key), r.index()}, key, r.value(""), redisBatch)
		if err != nil {
			return err
		}
		if n, _ := v.(int64); n < redisBatch {
			return nil
		}
	}
}

// Exists reports whether key has a value or is a directory.
func (r *Redis) Exists(ctx context.Context, key string) bool {
	_, err := r.Stat(ctx, key)
	return err == nil
}

// Stat tells size and age of a value, by the clock of the server. A directory is
// not terminal.
func (r *Redis) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return certmagic.KeyInfo{}, err
	}
	v, err := r.run(ctx, "stat", key, r.scripts.stat, []string{r.value(key), r.index()}, key)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	pair, _ := v.([]any)
	if len(pair) != 2 {
		return certmagic.KeyInfo{}, missing("stat", key)
	}
	size, _ := pair[0].(int64)
	if size < 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	text, _ := pair[1].(string)
	micros, _ := strconv.ParseInt(text, 10, 64)
	return certmagic.KeyInfo{Key: key, Modified: time.UnixMicro(micros), Size: size, IsTerminal: true}, nil
}

// List returns the keys right below prefix, or when recursive all keys below it
// that have a value. It reads the index, a page at a time.
func (r *Redis) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if err := errors.Join(checkPrefix(prefix), ctx.Err()); err != nil {
		return nil, err
	}
	page := r.children
	if recursive {
		page = r.members
	}
	from, to, dir := "-", "+", ""
	if prefix != "" {
		from, to, dir = "["+prefix+"/", "("+prefix+"0", prefix+"/"
	}
	var all []string
	for {
		keys, next, err := page(ctx, dir, from, to)
		if err != nil {
			return nil, err
		}
		all = append(all, keys...)
		if len(keys) < redisBatch {
			break
		}
		from = next
	}
	if len(all) == 0 && prefix != "" {
		_, err := r.Stat(ctx, prefix) // a value, perhaps
		return nil, err
	}
	slices.Sort(all)
	return all, nil
}

// members is a page of the keys from from to to, and where the next one starts.
func (r *Redis) members(ctx context.Context, dir, from, to string) ([]string, string, error) {
	v, err := r.run(ctx, "list", strings.TrimSuffix(dir, "/"), r.scripts.members, []string{r.index()}, from, to, redisBatch)
	keys, err := texts(v, err)
	if err != nil || len(keys) == 0 {
		return nil, "", err
	}
	return keys, "(" + keys[len(keys)-1], nil
}

// children is members for what is right below dir, which ends in a slash.
func (r *Redis) children(ctx context.Context, dir, from, to string) ([]string, string, error) {
	v, err := r.run(ctx, "list", strings.TrimSuffix(dir, "/"), r.scripts.children, []string{r.index()}, from, to, len(dir), redisBatch)
	keys, err := texts(v, err)
	if err != nil || len(keys) == 0 {
		return nil, "", err
	}
	return keys[1:], keys[0], nil
}

// texts makes strings of a script's answer.
func texts(v any, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, _ := e.(string)
		out = append(out, s)
	}
	return out, nil
}

// Close gives back all locks, ends what waits and closes the connections.
func (r *Redis) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), redisAbandon)
	defer cancel()
	for name, l := range r.locks.close() {
		l.end()
		r.abandon(ctx, l)
		r.locks.give(name)
	}
	if err := r.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("redis %s: close: %w", r.params.addr(), err)
	}
	return nil
}
