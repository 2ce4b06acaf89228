package accesslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/accesslog"
)

// start runs l until the function that it returns is called, which returns what
// Run returned.
func start(l *accesslog.Log) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// scripted is a destination whose Write is a function.
type scripted func(p []byte) (int, error)

func (f scripted) Write(p []byte) (int, error) { return f(p) }

func open(t *testing.T, o accesslog.Options, w io.Writer, process *slog.Logger) *accesslog.Log {
	t.Helper()
	l, err := accesslog.Open(o, w, false, process)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLinesAreWrittenAfter200ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes []time.Duration
		begin := time.Now()
		l := open(t, accesslog.Options{}, scripted(func(p []byte) (int, error) {
			writes = append(writes, time.Since(begin))
			return len(p), nil
		}), nil)
		stop := start(l)
		time.Sleep(time.Hour) // idle: nothing to write, nobody wakes
		l.Write(whole())
		time.Sleep(100 * time.Millisecond)
		l.Write(whole())
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{time.Hour + 200*time.Millisecond}; fmt.Sprint(writes) != fmt.Sprint(want) {
			t.Errorf("writes at %v, want %v", writes, want)
		}
	})
}

func TestALotIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		total := 0
		l := open(t, accesslog.Options{}, scripted(func(p []byte) (int, error) {
			total += len(p)
			return len(p), nil
		}), nil)
		stop := start(l)
		begin := time.Now()
		for range 200 { // of about 480 bytes: over 64 KiB
			l.Write(whole())
		}
		synctest.Wait()
		if total < 64<<10 || time.Since(begin) != 0 {
			t.Errorf("%d bytes written after %v, want more than 64 KiB at once", total, time.Since(begin))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStalledDestinationDropsAndReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var process bytes.Buffer
		l := open(t, accesslog.Options{}, scripted(func(p []byte) (int, error) {
			<-release
			return len(p), nil
		}), slog.New(slog.NewTextHandler(&process, nil)))
		stop := start(l)
		l.Write(whole())
		time.Sleep(time.Second) // the writer now hangs in the destination
		begin := time.Now()
		for range 20_000 { // about 9.6 MB
			l.Write(whole())
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("Write waited %v", d)
		}
		if n := l.Dropped(); n < 9_000 || n > 13_000 {
			t.Errorf("%d lines dropped, want what exceeds 4 MiB", n)
		}
		time.Sleep(11 * time.Second)
		if err := stop(); !errors.Is(err, accesslog.ErrStalled) {
			t.Errorf("Run = %v, want ErrStalled", err)
		}
		if n := strings.Count(process.String(), "access log lines lost"); n != 1 {
			t.Errorf("reported %d times, want once:\n%s", n, process.String())
		}
		close(release)
	})
}

func TestRefusedLinesAreCountedAndNotGlued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		fail := true
		var process bytes.Buffer
		l := open(t, accesslog.Options{}, scripted(func(p []byte) (int, error) {
			if fail {
				out.Write(p[:10])
				return 10, syscall.ENOSPC
			}
			return out.Write(p)
		}), slog.New(slog.NewTextHandler(&process, nil)))
		stop := start(l)
		l.Write(whole())
		l.Write(whole())
		time.Sleep(time.Second)
		synctest.Wait()
		fail = false
		l.Write(&accesslog.Entry{Path: "/later"})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if n := l.Dropped(); n != 2 {
			t.Errorf("%d lines counted as lost, want 2", n)
		}
		got := strings.Split(out.String(), "\n")
		if len(got) != 3 || len(got[0]) != 10 || !strings.HasPrefix(got[1], "{") || !strings.Contains(got[1], `"/later"`) {
			t.Errorf("destination has %q", got)
		}
		if !strings.Contains(process.String(), "no space left") {
			t.Errorf("process log has %q", process.String())
		}
	})
}

func TestReopenFollowsLogrotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, accesslog.Options{Access: path}, nil, nil)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("file has mode %v, %v: want no rights for others", info.Mode(), err)
	}
	stop := start(l)
	l.Write(&accesslog.Entry{Path: "/one"})
	wait(t, path, "/one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // more often than the writer looks: no file may leak
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	l.Write(&accesslog.Entry{Path: "/two"})
	wait(t, path, "/two")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(path + ".1")
	if err != nil || strings.Count(string(old), "\n") != 1 || !strings.Contains(string(old), "/one") {
		t.Errorf("old file has %q, %v", old, err)
	}
	if n := openFiles(t, path); n != 0 {
		t.Errorf("%d descriptors of the log are still open", n)
	}
	l.Write(&accesslog.Entry{Path: "/late"})
	if err := l.Reopen(); err != nil || openFiles(t, path) != 0 {
		t.Errorf("Reopen after the end: %v, %d descriptors", err, openFiles(t, path))
	}
	if l.Dropped() != 1 {
		t.Errorf("dropped = %d, want the line that came after the end", l.Dropped())
	}
}

func TestReopenKeepsTheOldFileOnAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, accesslog.Options{Access: filepath.Join(dir, "access.log")}, nil, nil)
	stop := start(l)
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("Reopen in a directory that is gone: no error")
	}
	l.Write(&accesslog.Entry{Path: "/still"})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir+"2", "access.log")); err != nil || !bytes.Contains(got, []byte("/still")) {
		t.Errorf("old file has %q, %v", got, err)
	}
}

func TestPipeWithoutReaderIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := accesslog.Open(accesslog.Options{Access: path}, nil, false, nil); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("Open = %v, want ENXIO at once", err)
	}
}

func TestOffCostsNothing(t *testing.T) {
	l, err := accesslog.Open(accesslog.Options{Access: "off"}, nil, false, nil)
	if l != nil || err != nil {
		t.Fatalf("Open = %v, %v", l, err)
	}
	l.Write(whole())
	if err := l.Reopen(); err != nil || l.Dropped() != 0 {
		t.Error("a nil log does something")
	}
	if err := start(l)(); err != nil {
		t.Error(err)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	var out bytes.Buffer
	l := open(t, accesslog.Options{Format: "text"}, &out, nil)
	stop := start(l)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				l.Write(whole())
			}
		})
	}
	wg.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	one := lines(t, "text", whole())
	if got := strings.Count(out.String(), one); got != 1600 || out.Len() != 1600*len(one) {
		t.Errorf("%d whole lines in %d bytes, want 1600", got, out.Len())
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		l := open(t, accesslog.Options{Format: format}, discard{}, nil)
		stop := start(l)
		e := whole()
		// Under the race detector sync.Pool forgets at random.
		if n := testing.AllocsPerRun(2000, func() { l.Write(e) }); n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations per line, want 0", format, n)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// wait waits until the file has s in it.
func wait(t *testing.T, path, s string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-t.Context().Done():
			t.Fatalf("%s never had %q", path, s)
		case <-tick.C:
			if got, err := os.ReadFile(path); err == nil && bytes.Contains(got, []byte(s)) {
				return
			}
		}
	}
}

// openFiles counts our descriptors of the file at path.
func openFiles(t *testing.T, path string) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(fds) == 0 {
		t.Skip("no /proc")
	}
	n := 0
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, path) {
			n++
		}
	}
	return n
}
