package routing

import "strings"

// nearest returns the one of known that name was probably meant to be, or "": the
// longest that it begins with, or one that is at most two slips away.
func nearest(name string, known []string) string {
	best, found := 3, ""
	longest := ""
	for _, k := range known {
		if len(k) > len(longest) && strings.HasPrefix(name, k) {
			longest = k
		}
		if d := slips(strings.ToLower(name), strings.ToLower(k)); d < best && 2*d <= min(len(name), len(k)) {
			best, found = d, k
		}
	}
	if found == "" {
		return longest
	}
	return found
}

// slips is how many letters to insert, drop or change make b of a; two that are
// swapped count as one. Names that are much longer than each other are far away.
func slips(a, b string) int {
	const far = 64
	if len(a) > far || len(b) > far {
		return far
	}
	var rows [3][far + 1]int
	for j := range len(b) + 1 {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row := &rows[(i+2)%3], &rows[i%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
