package access_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"

	"headgate/gateway/filter/access"
)

// cheap is the hash of a password that costs next to nothing.
func cheap(t testing.TB, password string) string {
	t.Helper()
	salt := make([]byte, 16)
	rand.Read(salt)
	b64 := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=8,t=1,p=1$" + b64(salt) + "$" + b64(argon2.IDKey([]byte(password), salt, 1, 8, 1, 32))
}

// write replaces a file as editors do: by another one.
func write(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// reports is what was reported.
type reports struct {
	mu   sync.Mutex
	list []string
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, err.Error())
}

func (r *reports) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.list
	r.list = nil
	return out
}

// open returns the passwords of a file with lines, its path and what is reported.
func open(t testing.TB, lines ...string) (*access.Passwords, string, *reports) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, lines...)
	r := &reports{}
	p, err := access.OpenPasswords(path, r.add)
	if err != nil {
		t.Fatal(err)
	}
	return p, path, r
}

// remembered reports whether the pair is right without any hash: nobody waits for a
// slot whose request has ended.
func remembered(p *access.Passwords, user, password string) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return p.Check(ctx, user, password)
}

func TestFileIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, path, reported := open(t, "ada:"+cheap(t, "old"))
		check := func(password string, want bool) {
			t.Helper()
			if got := p.Check(t.Context(), "ada", password); got != want {
				t.Errorf("%s: %v, want %v", password, got, want)
			}
		}
		time.Sleep(time.Minute)
		check("old", true)
		write(t, path, "ada:"+cheap(t, "new"))
		check("old", true) // not looked at within the same second
		time.Sleep(time.Second)
		check("old", false) // nor remembered
		check("new", true)

		write(t, path, "ada:cleartext")
		for range 5 {
			time.Sleep(time.Second)
			check("new", true)
		}
		got := reported.take()
		if len(got) != 1 || !strings.HasPrefix(got[0], path+`: line 1: user "ada" has no hash that is known`) {
			t.Errorf("reported %q, want the mistake once", got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(time.Second)
			check("new", true)
		}
		if got := reported.take(); len(got) != 1 || !strings.HasPrefix(got[0], path+": no such file") {
			t.Errorf("reported %q, want once that it is gone", got)
		}
		write(t, path, "")
		time.Sleep(time.Second)
		check("new", true)
		if got := reported.take(); len(got) != 1 || !strings.Contains(got[0], "has no user") {
			t.Errorf("reported %q, want that it is empty", got)
		}
		write(t, path, "ada:"+cheap(t, "third"))
		time.Sleep(time.Second)
		check("new", false)
		check("third", true)
		if got := reported.take(); len(got) != 0 {
			t.Errorf("reported %q, want nothing", got)
		}
	})
}

// TestFileThatChangesWithinATick: a file system whose clock stands still between two
// changes.
func TestFileThatChangesWithinATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "users")
		tick := time.Now()
		overwrite := func(password string) {
			t.Helper()
			if err := os.WriteFile(path, []byte("ada:"+cheap(t, password)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, tick, tick); err != nil {
				t.Fatal(err)
			}
		}
		overwrite("old")
		p, err := access.OpenPasswords(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		overwrite("new")
		time.Sleep(time.Second)
		if p.Check(t.Context(), "ada", "old") || !p.Check(t.Context(), "ada", "new") {
			t.Error("the second change was not seen")
		}
		time.Sleep(10 * time.Second)
		if !remembered(p, "ada", "new") {
			t.Error("what was right is forgotten, although the file says the same")
		}
	})
}

func TestWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, path, _ := open(t, "ada:"+cheap(t, "right"), "bob:"+cheap(t, "right"))
		if remembered(p, "ada", "right") {
			t.Error("remembered before it was checked")
		}
		for _, pair := range [][2]string{{"ada", "right"}, {"ada", "wrong"}, {"adar", "ight"}, {"nobody", "right"}} {
			p.Check(t.Context(), pair[0], pair[1])
		}
		for _, pair := range [][2]string{{"ada", "wrong"}, {"adar", "ight"}, {"nobody", "right"}, {"bob", "right"}, {"a", "daright"}} {
			if remembered(p, pair[0], pair[1]) {
				t.Errorf("%q is remembered as right", pair)
			}
		}
		time.Sleep(9*time.Minute + 50*time.Second)
		if !remembered(p, "ada", "right") {
			t.Error("forgotten before ten minutes")
		}
		time.Sleep(10 * time.Second)
		if remembered(p, "ada", "right") {
			t.Error("remembered after ten minutes")
		}
		p.Check(t.Context(), "ada", "right")
		write(t, path, "ada:"+cheap(t, "right"))
		time.Sleep(time.Second)
		if remembered(p, "ada", "right") {
			t.Error("remembered although the file has changed")
		}
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	hash := cheap(t, "right")
	var lines []string
	for i := range access.VerifiedMost + 10 {
		lines = append(lines, fmt.Sprintf("user%d:%s", i, hash))
	}
	p, _, _ := open(t, lines...)
	var wg sync.WaitGroup
	for i := range lines[:10] {
		p.Check(t.Context(), fmt.Sprint("user", i), "right")
	}
	for k := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := 10 + k; i < len(lines); i += runtime.GOMAXPROCS(0) {
				p.Check(t.Context(), fmt.Sprint("user", i), "right")
			}
		})
	}
	wg.Wait()
	for i := range lines {
		if got := remembered(p, fmt.Sprint("user", i), "right"); got != (i >= 10) {
			t.Fatalf("user %d of %d is remembered: %v", i, len(lines), got)
		}
	}
}

func TestNoMoreHashesThanProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := open(t, "ada:"+cheap(t, "right"), "bob:"+cheap(t, "right"))
		if !p.Check(t.Context(), "bob", "right") {
			t.Fatal("the right password is wrong")
		}
		free := p.Occupy()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if p.Check(ctx, "ada", "right") || time.Since(began) != time.Minute {
			t.Errorf("it did not wait until the request ended, but %s", time.Since(began))
		}
		if !p.Check(ctx, "bob", "right") {
			t.Error("who is remembered waits too")
		}
		results := make(chan bool, 10)
		for range cap(results) {
			go func() { results <- p.Check(t.Context(), "ada", "right") }()
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Error("a hash was computed without a slot")
		}
		free()
		for range cap(results) {
			if !<-results {
				t.Error("the right password is wrong after it has waited")
			}
		}
	})
}

func TestChecksWhileTheFileChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := "ada:"+cheap(t, "right"), "ada:"+cheap(t, "right")
		p, path, _ := open(t, one)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if !p.Check(t.Context(), "ada", "right") {
						t.Error("the right password is wrong")
					}
					time.Sleep(400 * time.Millisecond)
				}
			})
		}
		for i := range 8 {
			time.Sleep(time.Second)
			write(t, path, []string{one, two}[i%2])
		}
		wg.Wait()
	})
}

func BenchmarkCheckRemembered(b *testing.B) {
	p, _, _ := open(b, "ada:"+cheap(b, "right"))
	p.Check(b.Context(), "ada", "right")
	b.ReportAllocs()
	for b.Loop() {
		if !p.Check(b.Context(), "ada", "right") {
			b.Fatal("wrong")
		}
	}
}
