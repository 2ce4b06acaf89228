package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headgate/tls/storage"
)

// roleVar makes the test binary one of the processes that share a storage.
const roleVar = "STORAGE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func play(role string, args []string) error {
	ctx := context.Background()
	s, err := storage.Open(ctx, args[0], nil)
	if err != nil {
		return err
	}
	switch role {
	case "hold":
		if err := s.Lock(ctx, args[1]); err != nil {
			return err
		}
		fmt.Println("held")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case "count":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		for range n {
			if err := count(ctx, s, args[1]); err != nil {
				return err
			}
		}
		return nil
	case "load":
		_, err := s.Load(ctx, args[1])
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return errors.New("no such role: " + role)
}

// count adds one to the value of "counter" under the lock of name, and fails when
// somebody else is there too.
func count(ctx context.Context, s storage.Storage, name string) (err error) {
	if err := s.Lock(ctx, name); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Unlock(ctx, name)) }()
	if s.Exists(ctx, "inside") {
		return errors.New("two are inside the lock")
	}
	if err := s.Store(ctx, "inside", nil); err != nil {
		return err
	}
	text, err := s.Load(ctx, "counter")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n, _ := strconv.Atoi(string(text))
	if err := s.Store(ctx, "counter", []byte(strconv.Itoa(n+1))); err != nil {
		return err
	}
	return s.Delete(ctx, "inside")
}

func command(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// holder starts a process that holds the lock of name, and returns what kills it.
func holder(t *testing.T, url, name string) (kill func()) {
	t.Helper()
	cmd := command("hold", url, name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = stdin.Close()
	})
	t.Cleanup(kill)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return kill
}

// open opens url until the test ends.
func open(t testing.TB, url string, log *slog.Logger) storage.Storage {
	t.Helper()
	s, err := storage.Open(t.Context(), url, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return s
}

// eventually waits for the real world.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// journal is a log that tests can read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), s)
}

// wantErr fails unless err says all of words.
func wantErr(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Fatalf("got %v, want an error that says %q", err, w)
		}
	}
}
