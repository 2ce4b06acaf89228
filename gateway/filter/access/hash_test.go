package access_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"headgate/gateway/filter/access"
)

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
		if raceEnabled && algorithm == access.Bcrypt {
			continue // it takes ten seconds
		}
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

// TestUnknownUsersCostTheSame: without care one would be known by a time that is
// thousands of times shorter.
func TestUnknownUsersCostTheSame(t *testing.T) {
	slow, err := bcrypt.GenerateFromPassword([]byte("right"), 6)
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
