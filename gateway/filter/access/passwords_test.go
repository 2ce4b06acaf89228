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
	"golang.org/x/crypto/bcrypt"

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

// TestHashesOfOthers has hashes that libxcrypt, jBCrypt and the reference
// implementation of Argon2 have made.
func TestHashesOfOthers(t *testing.T) {
	p, _, _ := open(t,
		"\ufeff# users",
		"",
		"  # more",
		"ada:$2y$05$abcdefghijklmnopqrstuuRxz5dkosrfehAi5CcDO9JDIl218EnVW  ",
		"abc:$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i\r",
		"ref:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"löng name:$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i")
	for _, tt := range []struct {
		user, password string
		want           bool
	}{
		{"ada", "ge:heim£", true},
		{"abc", "abc", true},
		{"ref", "password", true},
		{"löng name", strings.Repeat("x", 100), true},
		{"löng name", strings.Repeat("x", 71), false},
		{"ada", "abc", false},
		{"abc", "", false},
		{"abc", "abd", false},
		{"ABC", "abc", false},
		{"ref", "Password", false},
		{"nobody", "abc", false},
		{"", "", false},
		{"abc", strings.Repeat("x", 5000), false},
		{strings.Repeat("x", 5000), "abc", false},
	} {
		for range 2 { // the second one may be remembered
			if got := p.Check(t.Context(), tt.user, tt.password); got != tt.want {
				t.Errorf("%.20s with %.20s: %v, want %v", tt.user, tt.password, got, tt.want)
			}
		}
	}
}

func TestHashPassword(t *testing.T) {
	for algorithm, begin := range map[string]string{"": "$argon2id$v=19$m=19456,t=2,p=1$", access.Bcrypt: "$2a$12$"} {
		const password = "correct hörse: battery"
		one, err := access.HashPassword(password, algorithm)
		if err != nil || !strings.HasPrefix(one, begin) {
			t.Fatalf("%s: got %q, %v", algorithm, one, err)
		}
		p, _, _ := open(t, "ada:"+one)
		if !p.Check(t.Context(), "ada", password) {
			t.Errorf("%s: it is not the hash of the password", algorithm)
		}
	}
	one, _ := access.HashPassword("the same", access.Argon2id)
	if two, _ := access.HashPassword("the same", ""); one == two {
		t.Error("two hashes have the same salt")
	}
	for _, tt := range []struct{ password, algorithm, want string }{
		{"", "", "the password is empty"},
		{"a\nb", "", "the password has control"},
		{"a\xff", "", "the password has control"},
		{strings.Repeat("x", 1025), "", "the password is longer than 1024"},
		{strings.Repeat("x", 73), access.Bcrypt, "the password is longer than the 72"},
		{"password", "md5", `"md5" is not an algorithm`},
	} {
		_, err := access.HashPassword(tt.password, tt.algorithm)
		wantFaults(t, err, tt.want)
	}
}

func TestWhatIsWrongWithAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	const key = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	const good = "ada:$2y$05$abcdefghijklmnopqrstuuRxz5dkosrfehAi5CcDO9JDIl218EnVW"
	for line, want := range map[string]string{
		"":                               "has no user",
		"just a word":                    "line 1: is not name:hash",
		":" + good:                       "line 1: has no name",
		"ada":                            "line 1: is not name:hash",
		"ada:":                           `line 1: user "ada" has no hash:`,
		"ada:cleartext":                  `line 1: user "ada" has no hash that is known`,
		"ada:$apr1$x$y":                  `line 1: user "ada" has a hash of MD5`,
		"ada:$1$x$y":                     `line 1: user "ada" has a hash of MD5`,
		"ada:{SHA}x":                     `line 1: user "ada" has a hash of SHA-1`,
		"ada:$6$x$y":                     `line 1: user "ada" has a hash of crypt`,
		"ada:$argon2i$v=19$m=8,t=1,p=1$": `line 1: user "ada" has a hash of Argon2i`,
		good + "x":                       `line 1: user "ada" has a hash of bcrypt that is not whole`,
		"ada:$2x$" + good[8:]:            `line 1: user "ada" has a hash of bcrypt that is not whole`,
		"ada:$2a$16$" + good[11:]:        `line 1: user "ada" has a hash of bcrypt with the cost 16`,
		"ada:$2a$99$" + good[11:]:        `line 1: user "ada" has a hash of bcrypt that is not whole`,
		"ada:$argon2id$v=19$m=262145,t=1,p=1$" + key:                         `line 1: user "ada" has a hash of Argon2id with m=262145`,
		"ada:$argon2id$v=19$m=64,t=11,p=1$" + key:                            `line 1: user "ada" has a hash of Argon2id with m=64,t=11`,
		"ada:$argon2id$v=19$m=999,t=1,p=17$" + key:                           `line 1: user "ada" has a hash of Argon2id with m=999,t=1,p=17`,
		"ada:$argon2id$v=19$m=64,t=0,p=1$" + key:                             `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=19$m=64,t=1,p=0$" + key:                             `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=19$m=7,t=1,p=1$" + key:                              `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=16$m=64,t=1,p=1$" + key:                             `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=19$t=1,m=64,p=1$" + key:                             `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=19$m=064,t=1,p=1$" + key:                            `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=19$m=64,t=1,p=1$AA$AA":                              `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=19$m=64,t=1,p=1$" + key + "$" + key:                 `line 1: user "ada" has a hash of Argon2id that is not whole`,
		"ada:$argon2id$v=19$m=64,t=1,p=1$" + key + strings.Repeat("A", 1000): `line 1: user "ada" has a hash of Argon2id that is not whole`,
		good + "\n\n# more\n" + good:                                         `line 4: user "ada" is in line 1 already`,
		"ada : " + good:                                                      `line 1: the name "ada "`,
		"a\x00da:" + good[4:]:                                                `line 1: the name "a\x00da"`,
		strings.Repeat("x", 300) + ":" + good[4:]:                            "line 1: the name is longer",
		"ada:" + strings.Repeat("x", 5<<20):                                  "is bigger than 4 MiB",
		"bob:hunter22\nada:$2a$16$" + good[11:] + "\n" + "c:d\n":             "",
	} {
		write(t, path, line)
		_, err := access.OpenPasswords(path, nil)
		if want != "" {
			wantFaults(t, err, path+": "+want)
		} else {
			wantFaults(t, err, path+": line 1: ", path+": line 2: ", path+": line 3: ")
		}
		if _, secret, ok := strings.Cut(line, ":"); ok && len(secret) > 6 && err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error shows what is behind the name: %v", line, err)
		}
	}
	write(t, path, strings.Repeat("nonsense\n", 1000))
	if _, err := access.OpenPasswords(path, nil); strings.Count(err.Error(), "\n") != 9 {
		t.Errorf("got %v, want ten mistakes", err)
	}
	_, err := access.OpenPasswords(path+".none", nil)
	wantFaults(t, err, path+".none: no such file or directory")
	_, err = access.OpenPasswords(filepath.Dir(path), nil)
	wantFaults(t, err, filepath.Dir(path)+": is not a regular file")
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

// TestUnknownUsersCostTheSame: without care one would be known by a time that is
// thousands of times shorter.
func TestUnknownUsersCostTheSame(t *testing.T) {
	slow, err := bcrypt.GenerateFromPassword([]byte("right"), 8)
	if err != nil {
		t.Fatal(err)
	}
	p, _, _ := open(t, "ada:"+string(slow), "bob:"+string(slow))
	least := func(user string) time.Duration {
		shortest := time.Hour
		for range 5 {
			began := time.Now()
			if p.Check(t.Context(), user, "wrong") {
				t.Fatal("the wrong password is right")
			}
			shortest = min(shortest, time.Since(began))
		}
		return shortest
	}
	known, unknown := least("ada"), least("nobody")
	if unknown < known/4 || unknown > known*4 {
		t.Errorf("an unknown user takes %s, and a known one %s", unknown, known)
	}
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

func TestStrength(t *testing.T) {
	for _, password := range []string{"correct horse battery staple", "Tr0ub4dor&3", "xkqv-8271", "grüße aus köln"} {
		if err := access.CheckStrength("ada", password); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, tt := range []struct{ user, password, want string }{
		{"", "", "the password is empty"},
		{"", "short", "the password has fewer than 8"},
		{"", "äöüäöüä", "the password has fewer than 8"},
		{"", "password", "the password is one of the first"},
		{"", "P4ssw0rd2024!", "the password is one of the first"},
		{"", "12345678", "the password is one of the first"},
		{"", "qwertyuiop", "the password is one of the first"},
		{"", "aaaaaaaaaaaa", "the password is one of the first"},
		{"", "20241231", "the password is one of the first"},
		{"Margaret", "margaret", "the password is the name"},
		{"margaret", "Margaret2024", "the password is the name"},
	} {
		wantFaults(t, access.CheckStrength(tt.user, tt.password), tt.want)
	}
}

func FuzzUsers(f *testing.F) {
	for _, s := range []string{
		"ada:$2y$05$abcdefghijklmnopqrstuuRxz5dkosrfehAi5CcDO9JDIl218EnVW\n# x\n\nbob:$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"a:b", ":", "a:$2", "a:$argon2id$", "\ufeff#", "a:{SHA}x\r\na:",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, err := access.ParseUsers(text)
		if err == nil && len(names) == 0 {
			t.Error("a file without users is good")
		}
		for _, name := range names {
			if err := access.CheckUser(name); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
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

func BenchmarkCheckArgon2id(b *testing.B) {
	hash, err := access.HashPassword("right and proper", "")
	if err != nil {
		b.Fatal(err)
	}
	p, _, _ := open(b, "ada:"+hash)
	b.ReportAllocs()
	for b.Loop() {
		p.Check(b.Context(), "ada", "wrong")
	}
}
