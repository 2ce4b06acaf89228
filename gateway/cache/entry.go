package cache

import (
	"container/list"
	"sync/atomic"
	"time"

	"headgate/gateway/wire"
)

// resource is all that is kept for one key.
type resource struct {
	key     key
	hash    hashes
	names   []string // of parameters that its query was reduced to; nil: not reduced
	entries atomic.Pointer[[]*entry]

	sibling *resource // guarded by Store.mu: the next one of the same URI hash
}

// maxVariants bounds the entries of one resource.
const maxVariants = 64

// find returns the newest entry that is for a request with this header (4.1).
func (r *resource) find(request wire.Fields) *entry {
	for _, e := range *r.entries.Load() {
		if matches(e.vary, request) {
			return e
		}
	}
	return nil
}

// entry is one answer that is kept, whole. All but what is marked is immutable.
type entry struct {
	res  *resource
	vary []varied
	head atomic.Pointer[head] // replaced when the app says that nothing has changed
	size int64                // of the body
	data []byte               // the body, in memory
	file *file                // or on disk

	sent  atomic.Pointer[sent] // what goes out this second
	used  atomic.Uint32        // how often, up to 3
	at    atomic.Int64         // Unix time of the last use
	fresh refreshing

	// Guarded by Store.mu.
	stored     bool
	queue      *queue // nil: none
	prev, next *entry
	onDisk     *list.Element
	weight     int64 // bytes of memory
}

// sent is the header that an entry is sent with in one second.
type sent struct {
	head   *head
	age    int64 // seconds
	left   int64 // seconds of freshness
	fields wire.Fields
}

// overhead is about what an entry and its resource take without their texts.
const overhead = 640

// weigh returns the bytes of memory that an entry takes.
func (e *entry) weigh() int64 {
	k := &e.res.key
	n := overhead + int64(cap(e.data)) + e.head.Load().weight
	n += int64(len(k.Site) + len(k.Scheme) + len(k.Host) + len(k.Path) + len(k.Query) + len(k.Text))
	for _, v := range e.vary {
		n += int64(len(v.Name)+len(v.Value)+len(v.Raw)) + 56
	}
	return n
}

// touch notes a use.
func (e *entry) touch(now time.Time) {
	if n := e.used.Load(); n < 3 {
		e.used.Store(n + 1)
	}
	if s := now.Unix(); e.at.Load() != s {
		e.at.Store(s)
	}
}

// refreshing is what is known of fetches in the background for an entry.
type refreshing struct {
	under atomic.Bool  // one is under way
	again atomic.Int64 // Unix time before which there is no other
}
