package access_test

import (
	"path/filepath"
	"strings"
	"testing"

	"headgate/gateway/filter/access"
)

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
