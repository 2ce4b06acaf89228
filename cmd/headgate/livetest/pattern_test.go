package livetest_test

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// pattern reads the n bytes that the app's /blob gives: blocks of 1 MiB that
// differ only in the number they begin with, so that a block lost, doubled or
// moved shows.
type pattern struct {
	left   int64
	number uint64
	block  []byte
	rest   []byte // of block
}

func newPattern(n int64) *pattern {
	return &pattern{left: n, block: sha3.SumSHAKE256([]byte("headgate"), 1<<20)}
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	if len(p.rest) == 0 {
		binary.BigEndian.PutUint64(p.block, p.number)
		p.number++
		p.rest = p.block
	}
	n := copy(b[:min(int64(len(b)), p.left)], p.rest)
	p.rest = p.rest[n:]
	p.left -= int64(n)
	return n, nil
}

// sum returns the SHA-256 of all the bytes of r in hex, and their number.
func sum(r io.Reader) (hash string, n int64, err error) {
	h := sha256.New()
	n, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// largeBytes is the size of a large body, a whole number of MiB.
func largeBytes(t testing.TB) int64 {
	t.Helper()
	text, ok := os.LookupEnv("HEADGATE_TEST_BYTES")
	if !ok {
		return 100 << 20
	}
	shift := 0
	for unit, s := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			text, shift = rest, s
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		t.Fatal("HEADGATE_TEST_BYTES: a size such as 1GiB is needed")
	}
	return n << shift
}
