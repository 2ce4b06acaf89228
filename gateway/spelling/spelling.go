// Package spelling finds the name that was probably meant by one that is not known:
//
//	spelling.Nearest("memebrs", []string{"members", "slots"}) // "members"
package spelling

import (
	"slices"
	"strings"
)

// most bounds the names that are compared letter by letter.
const most = 64

// Nearest returns the candidate that word was probably meant to be: a similar one,
// or one that begins with word or the other way round. It returns "" when nothing
// is near.
func Nearest(word string, candidates []string) string {
	if found := Similar(word, candidates); found != "" || len(word) < 3 || len(word) > most {
		return found
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if len(c) >= 3 && (strings.HasPrefix(c, word) || strings.HasPrefix(word, c)) {
			return c
		}
	}
	return ""
}

// Similar returns the candidate that is at most two slips away from word, or "".
func Similar(word string, candidates []string) string {
	if len(word) > most {
		return ""
	}
	best, found := 3, ""
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d < best && d < max(len(word), len(c)) && 2*d <= min(len(word), len(c))+1 {
			best, found = d, c
		}
	}
	return found
}

// distance is the Damerau-Levenshtein distance of optimal string alignment:
// letters inserted, dropped, changed, or swapped with their neighbour.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	if len(s) > most || len(t) > most {
		return most
	}
	rows := [3][]int{make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(s); i++ {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = last, row, before
	}
	return rows[1][len(t)]
}
