package files_test

import (
	"fmt"
	"runtime"
	"testing"

	"headgate/gateway/files"
	"headgate/gateway/notation"
)

func heapZ() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestZZ(t *testing.T) {
	s := open(t, files.Options{Root: t.TempDir(), Memory: 256 * notation.MiB})
	before := heapZ()
	for i := range 200_000 {
		s.Serve(&nothing{}, request("GET"), fmt.Sprintf("n%d", i))
	}
	t.Logf("absent: %d of %d", heapZ()-before, 256<<20/16)
	dir := t.TempDir()
	for i := range 20000 {
		write(t, dir, fmt.Sprintf("d%d/f%d", i%10, i), "x")
	}
	s2 := open(t, files.Options{Root: dir, Memory: 8 * notation.MiB})
	before = heapZ()
	for i := range 20000 {
		s2.Serve(&nothing{}, request("GET"), fmt.Sprintf("d%d/f%d", i%10, i))
	}
	t.Logf("found: %d of %d", heapZ()-before, 8<<20)
	runtime.KeepAlive(s)
	runtime.KeepAlive(s2)
}
