package redis

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	firstPause = time.Second
	lastPause  = 10 * time.Second
)

// circuit keeps a server that does not answer from being asked.
type circuit struct {
	log  *slog.Logger
	addr string

	pause atomic.Int64 // as a Duration; 0: the server answers
	until atomic.Int64 // when one request may try again, in Unix nanoseconds
}

// begin reports whether the server may be asked. While it does not answer, one
// request in a pause may. pause is for end.
func (c *circuit) begin() (pause int64, ok bool) {
	pause = c.pause.Load()
	if pause == 0 {
		return 0, true
	}
	now, until := time.Now().UnixNano(), c.until.Load()
	return pause, now >= until && c.until.CompareAndSwap(until, now+pause)
}

// end takes the answer to a request. Of several that have begun together and fail,
// the first counts.
func (c *circuit) end(pause int64, err error) {
	if err == nil {
		if c.pause.Load() != 0 && c.pause.Swap(0) != 0 {
			c.log.Info("rate limits are shared again", "addr", c.addr)
		}
		return
	}
	next := min(max(2*pause, int64(firstPause)), int64(lastPause))
	if !c.pause.CompareAndSwap(pause, next) {
		return
	}
	c.until.Store(time.Now().UnixNano() + next)
	if pause == 0 {
		c.log.Warn("rate limits are counted by this gateway alone: redis does not answer", "addr", c.addr, "err", err, "cure", cure(err))
	}
}

// unknown ends a request that has learned nothing.
func (c *circuit) unknown() {
	if c.pause.Load() != 0 {
		c.until.Store(0)
	}
}

// cure is for people.
func cure(err error) string {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return "start redis there, or correct the store of the rate: rediss:// is with TLS, redis:// without"
	}
	for word, cure := range map[string]string{
		"NOAUTH": "write user and password into the URL of the store", "WRONGPASS": "correct user and password in the URL of the store",
		"NOPERM": "allow the user what is needed: ACL SETUSER name ~headgate:* +@all -@admin", "READONLY": "this is a replica: name the primary in the URL of the store",
		"OOM": "raise maxmemory of this server, or make room in it", "MOVED": "a cluster is not supported: name a single server in the URL of the store",
		"LOADING": "the server reads its data: wait",
	} {
		if strings.Contains(answer.Error(), word) {
			return cure
		}
	}
	return "look into the log of redis"
}
