package access

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// minCharacters is the least of a password that people choose (NIST SP 800-63B).
const minCharacters = 8

// CheckStrength reports a password that is guessed within minutes: a short one, one
// that is among the first that anybody tries, or the name of user. It is for new
// passwords, and never has the password in its text.
func CheckStrength(user, password string) error {
	lower := strings.ToLower(password)
	switch {
	case password == "":
		return errors.New("the password is empty: write one")
	case utf8.RuneCountInString(password) < minCharacters:
		return fmt.Errorf("the password has fewer than %d characters: choose a longer one, such as four words", minCharacters)
	case user != "" && strings.Trim(lower, "0123456789!.-_ ") == strings.ToLower(user):
		return errors.New("the password is the name of the user: choose another, such as four words")
	case distinct(lower) < 4 || common(lower):
		return errors.New("the password is one of the first that are tried: choose another, such as four words")
	}
	return nil
}

// distinct counts the characters that are different.
func distinct(s string) int {
	seen := make(map[rune]bool)
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// common reports whether s is a word that everybody tries, a row of keys, or one of
// them with digits around it.
func common(s string) bool {
	for _, row := range [...]string{"01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "1q2w3e4r5t6z7u8i9o0p", "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb"} {
		if strings.Contains(row, s) {
			return true
		}
	}
	word := strings.Trim(s, "0123456789!.-_$@?*# ")
	word = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "@", "a", "$", "s", "5", "s").Replace(word)
	switch word {
	case "", "password", "passwort", "passw", "admin", "administrator", "letmein", "welcome", "iloveyou", "qwerty", "qwertz", "qwertyuiop",
		"sunshine", "princess", "football", "baseball", "superman", "changeme", "secret", "topsecret", "trustno", "dragon", "monkey", "abc", "abcd",
		"root", "toor", "test", "testing", "user", "guest", "login", "default", "headgate", "django", "flask", "nginx", "server", "computer", "internet":
		return true
	}
	return false
}
