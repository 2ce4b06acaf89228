package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// maxFile bounds a file of passwords.
const maxFile = 4 << 20

// lookEvery is how often the file is looked at, at most.
const lookEvery = time.Second

// settled is how old a change must be when the file is read: the clock of a file
// system may stand still for that long, and a later change may not show.
const settled = 2 * time.Second

// Passwords checks names and passwords against a file, see the documentation of the
// package. It has no goroutine and nothing to close, and may be used by several
// goroutines at once. OpenPasswords makes one.
type Passwords struct {
	path    string
	report  func(error)
	slots   chan struct{} // taken while a hash is computed
	users   atomic.Pointer[users]
	began   time.Time
	looked  atomic.Int64 // nanoseconds from began
	reading atomic.Bool

	// Only for who has set reading:
	seen os.FileInfo // of the file when it was read; nil: read it in any case
	sum  digest      // of what users are made of
	told string      // the error that was reported last
}

// OpenPasswords reads the file path. report gets what is wrong with it later, once
// for each thing, in the goroutine of a Check; nil hears nothing. An error begins
// with the path, and each line of it is one mistake with its cure.
func OpenPasswords(path string, report func(error)) (*Passwords, error) {
	p := &Passwords{path: path, report: report, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), began: time.Now()}
	if err := p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

// Check reports whether password is the one of user. It blocks while others are
// checked, and for as long as the hash takes; it returns false when ctx ends first.
func (p *Passwords) Check(ctx context.Context, user, password string) bool {
	p.look()
	if len(user) > maxUser || len(password) > maxPassword {
		return false
	}
	u := p.users.Load()
	d := u.verified.digest(user, password)
	if u.verified.has(d, time.Now()) {
		return true
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false
	}
	switch {
	case ctx.Err() != nil:
		return false
	case u.verified.has(d, time.Now()): // another request of the same page has waited for it too
		return true
	case !u.verify(user, password):
		return false
	}
	u.verified.add(d, time.Now())
	return true
}

// look reads the file again if it has changed, and nobody has looked for a second.
func (p *Passwords) look() {
	now, last := int64(time.Since(p.began)), p.looked.Load()
	if now-last < int64(lookEvery) || !p.looked.CompareAndSwap(last, now) || !p.reading.CompareAndSwap(false, true) {
		return
	}
	defer p.reading.Store(false)
	told := ""
	if err := p.read(); err != nil {
		told = err.Error()
		if p.report != nil && told != p.told {
			p.report(err)
		}
	}
	p.told = told
}

// read takes what the file says, if it is not what it said before.
func (p *Passwords) read() error {
	info, err := os.Stat(p.path)
	switch {
	case err != nil:
		p.seen = nil
		return p.unreadable(err)
	case p.seen != nil && os.SameFile(info, p.seen) && info.Size() == p.seen.Size() && info.ModTime().Equal(p.seen.ModTime()):
		if p.told != "" { // it is what it was when that was told
			return errors.New(p.told)
		}
		return nil
	case !info.Mode().IsRegular(): // to open a pipe could block for ever
		return fmt.Errorf("%s: is not a regular file: name one with lines of name:hash", p.path)
	}
	text, err := readFile(p.path)
	if err != nil {
		return p.unreadable(err)
	}
	p.seen = nil
	if age := time.Since(info.ModTime()); age < -settled || age > settled {
		p.seen = info
	}
	sum := digest(sha256.Sum256([]byte(text)))
	if sum == p.sum && p.users.Load() != nil {
		return nil // who was right is still right
	}
	u, err := parseUsers(text)
	if err != nil {
		return p.withPath(err)
	}
	p.sum = sum
	p.users.Store(u)
	return nil
}

// unreadable is an error of the operating system with its cure.
func (p *Passwords) unreadable(err error) error {
	var where *os.PathError
	if errors.As(err, &where) {
		err = where.Err
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %w: write it with headgate hash-password --user NAME >> %s", p.path, err, p.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w: give the user of headgate the right to read it", p.path, err)
	}
	return fmt.Errorf("%s: %w", p.path, err)
}

// withPath puts the path in front of each of several errors.
func (p *Passwords) withPath(err error) error {
	var out []error
	for line := range strings.Lines(err.Error()) {
		out = append(out, fmt.Errorf("%s: %s", p.path, strings.TrimSuffix(line, "\n")))
	}
	return errors.Join(out...)
}

// readFile reads a file that is not too big.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("is bigger than %d MiB: remove users that are gone", maxFile>>20)
	}
	return string(text), err
}
