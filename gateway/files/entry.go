package files

import (
	"io/fs"
	"strings"
	"sync/atomic"
	"time"
)

// kind is what a name stands for.
type kind uint8

const (
	missing kind = iota // nothing that is served
	regular
	directory
)

// entry is what is known of one name. All but the last fields never changes.
type entry struct {
	name string
	kind kind
	info fs.FileInfo // nil of missing

	indexes []string // of a directory: names of files that stand for it

	content      []byte // nil if it is read when it is asked for
	contentType  string
	etag         string
	tagInRole    string    // for when etag is also that of what it is a coding of
	modified     time.Time // with the second as unit, as in HTTP
	lastModified string
	cacheControl string // "": none
	variants     []variant

	marks *manifest // by which cacheControl was chosen
	young bool      // so fresh when it was read that a later change may not show

	checked atomic.Int64 // when it was last found to be so, in nanoseconds since Server.born
	used    atomic.Bool  // since the clock's hand passed
	at      int          // in the ring of its shard, whose lock guards it
}

// variant is a file with a coding of an entry.
type variant struct {
	coding string
	name   string
	size   int64
	second int64 // of its modification
}

// Estimates of what an entry costs beside its content.
const (
	entryBytes   = 1024
	missingBytes = 384
)

// cost is how many bytes e takes.
func (e *entry) cost() int64 {
	if e.kind == missing {
		return missingBytes + int64(len(e.name))
	}
	n := entryBytes + len(e.name) + cap(e.content)
	for _, v := range e.variants {
		n += len(v.name) + 64
	}
	for _, name := range e.indexes {
		n += len(name) + 16
	}
	return int64(n)
}

// clashes reports whether v has the validators of e or of another of its codings.
func (e *entry) clashes(v *variant) bool {
	if e.info.Size() == v.size && e.modified.Unix() == v.second {
		return true
	}
	for i := range e.variants {
		if o := &e.variants[i]; o.coding != v.coding && o.size == v.size && o.second == v.second {
			return true
		}
	}
	return false
}

// variant returns that of a coding.
func (e *entry) variant(coding string) *variant {
	for i := range e.variants {
		if e.variants[i].coding == coding {
			return &e.variants[i]
		}
	}
	return nil
}

// tagFor returns etag with the coding in it.
func tagFor(etag, name string) string {
	end := name[strings.LastIndexByte(name, '.')+1:]
	return etag[:len(etag)-1] + "-" + end + `"`
}
