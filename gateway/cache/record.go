package cache

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"headgate/gateway/wire"
)

// record is what a file says about the body in it. It is behind the body:
//
//	body | record | its length, its CRC-32C (4 bytes each) | length of the body (8) | magic (8)
//
// so that a file without the end of it is not taken for whole.
type record struct {
	Key    key
	Names  []string // see resource.names
	Some   bool     // Names is not nil
	Vary   []varied
	Facts  facts
	Fields wire.Fields
	Tags   []string
	Sum    uint32 // CRC-32C of the body
}

const (
	magic       = "hgcache1"
	trailerSize = 24
	maxRecord   = 1 << 20
)

var errCorrupt = errors.New("cache: not a whole answer")

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// encode returns what comes behind a body of that size.
func (r *record) encode(size int64) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(r); err != nil {
		return nil, err
	}
	if b.Len() > maxRecord {
		return nil, errCorrupt
	}
	p := b.Bytes()
	n, sum := len(p), crc32.Checksum(p, castagnoli())
	p = binary.LittleEndian.AppendUint32(p, uint32(n))
	p = binary.LittleEndian.AppendUint32(p, sum)
	p = binary.LittleEndian.AppendUint64(p, uint64(size))
	return append(p, magic...), nil
}

// readRecord reads what a file has behind its body, and checks all of it but the
// body.
func readRecord(f *os.File) (r *record, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	var t [trailerSize]byte
	end := info.Size() - trailerSize
	if end < 0 {
		return nil, 0, errCorrupt
	}
	if _, err := f.ReadAt(t[:], end); err != nil {
		return nil, 0, err
	}
	n := int64(binary.LittleEndian.Uint32(t[:]))
	size = int64(binary.LittleEndian.Uint64(t[8:]))
	if string(t[16:]) != magic || n > maxRecord || size < 0 || size != end-n {
		return nil, 0, errCorrupt
	}
	p := make([]byte, n)
	if _, err := f.ReadAt(p, size); err != nil {
		return nil, 0, err
	}
	if crc32.Checksum(p, castagnoli()) != binary.LittleEndian.Uint32(t[4:]) {
		return nil, 0, errCorrupt
	}
	r = new(record)
	if err := gob.NewDecoder(bytes.NewReader(p)).Decode(r); err != nil {
		return nil, 0, errCorrupt
	}
	return r, size, nil
}

// verify reads the body and compares its sum. stop ends it early.
func (r *record) verify(f *os.File, size int64, stop <-chan struct{}) error {
	buf := make([]byte, 256<<10)
	sum := uint32(0)
	for at := int64(0); at < size; {
		select {
		case <-stop:
			return errStopped
		default:
		}
		p := buf[:min(size-at, int64(len(buf)))]
		if n, err := f.ReadAt(p, at); n < len(p) {
			if err == io.EOF {
				err = errCorrupt
			}
			return err
		}
		sum = crc32.Update(sum, castagnoli(), p)
		at += int64(len(p))
	}
	if sum != r.Sum {
		return errCorrupt
	}
	return nil
}

var errStopped = errors.New("cache: stopped")

// recordOf returns the record of an entry with that head.
func (e *entry) record(h *head, sum uint32) *record {
	return &record{
		Key: e.res.key, Names: e.res.names, Some: e.res.names != nil, Vary: e.vary,
		Facts: h.facts, Fields: h.fields, Tags: h.tags, Sum: sum,
	}
}

// entry makes the entry of a record again.
func (r *record) entry(f *file, size int64) *entry {
	e := &entry{vary: r.Vary, size: size, file: f}
	e.res = &resource{key: r.Key, names: r.Names}
	if r.Some && r.Names == nil {
		e.res.names = []string{}
	}
	h := &head{facts: r.Facts, tags: r.Tags}
	h.setFields(r.Fields)
	e.head.Store(h)
	return e
}
