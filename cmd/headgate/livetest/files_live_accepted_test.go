package livetest_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// difference is one between nginx and us that is meant.
type difference struct {
	why  string
	rule string // the section that decides it
	of   string // the aspect that differs; "" is any. Where it is the status, nothing else is compared
	when func(c fileCase, theirs, ours string) bool
}

// accepted is the whole list of what a client of files gets otherwise than from
// Debian's nginx 1.22.
var accepted = []difference{
	{
		why: "a name that begins with a dot is not there, but .well-known is", rule: "RFC 9110, 15.5.4: who wishes to hide what is forbidden may answer 404",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return (strings.HasPrefix(c.target, "/.git") || strings.HasPrefix(c.target, "/.hidden")) && ours == "404"
		},
	},
	{
		why: "a link does not lead out of the root", rule: "RFC 9110, 15.5.4, and 17.3: no name may reach what is not meant to be served",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return c.target == "/outside.txt" && theirs == "200" && ours == "404"
		},
	},
	{
		why: "a link to itself is no file", rule: "RFC 9110, 15.5.5",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return c.target == "/loop" && theirs == "403" && ours == "404"
		},
	},
	{
		why: "a directory without an index is refused at once, not after a redirect", rule: "RFC 9110, 15.5.4; 15.4: a redirect leads to where the request can be fulfilled",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return (c.target == "/bare" || c.target == "/sub/deep") && theirs == "301" && ours == "403"
		},
	},
	{
		why: "a method that files do not have is refused before they are looked for", rule: "RFC 9110, 15.5.6",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return c.method == "POST" && (theirs == "404" || theirs == "301") && ours == "405"
		},
	},
	{
		why: ".gz has a type", rule: "RFC 6713, and RFC 9110, 8.3: the type is said where it is known",
		of: "Content-Type", when: func(c fileCase, theirs, ours string) bool {
			return c.target == "/styles.css.gz" && ours == "application/gzip"
		},
	},

	// Preconditions.
	{
		why: "If-Match makes If-Unmodified-Since be ignored", rule: "RFC 9110, 13.1.4: MUST ignore",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return c.has("If-Match") && c.has("If-Unmodified-Since") && theirs == "412" && c.owes(ours)
		},
	},
	{
		why: "If-None-Match makes If-Modified-Since be ignored", rule: "RFC 9110, 13.1.3: MUST ignore",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return c.has("If-None-Match") && c.has("If-Modified-Since") && ours == "304" && c.owes(ours)
		},
	},
	{
		why: "If-Modified-Since holds for every date that is not before the change, not for the very same alone", rule: "RFC 9110, 13.1.3: earlier or equal",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			date, err := http.ParseTime(c.fieldValue("If-Modified-Since"))
			return err == nil && date.After(modified) && !c.has("If-None-Match") && ours == "304" && c.owes(ours)
		},
	},
	{
		why: "what is not a date does not count, even if it begins like one", rule: "RFC 9110, 13.1.3: MUST ignore If-Modified-Since that is no HTTP-date (5.6.7)",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			_, err := http.ParseTime(c.fieldValue("If-Modified-Since"))
			return c.has("If-Modified-Since") && err != nil && theirs == "304" && c.owes(ours)
		},
	},
	{
		why: "what is not a date does not fail", rule: "RFC 9110, 13.1.4: MUST ignore If-Unmodified-Since that is no HTTP-date",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			_, err := http.ParseTime(c.fieldValue("If-Unmodified-Since"))
			return c.has("If-Unmodified-Since") && err != nil && theirs == "412" && c.owes(ours)
		},
	},

	// Ranges.
	{
		why: "Range is of GET", rule: "RFC 9110, 14.2: MUST ignore Range with a method for which it is not defined, and it is defined for GET alone",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return c.method == "HEAD" && c.has("Range") && (theirs == "206" || theirs == "416") && ours == "200"
		},
	},
	{
		why: "what is no range is ignored", rule: "RFC 9110, 14.2: MAY ignore an invalid ranges-specifier",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return slices.Contains(malformedRanges, c.fieldValue("Range")) && (theirs == "416" || theirs == "206") && ours == "200"
		},
	},
	{
		why: "an end may be any number", rule: "RFC 9110, 14.1.2: a last position beyond the length is taken for the end",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return c.fieldValue("Range") == "bytes=0-18446744073709551616" && theirs == "416" && ours == "206"
		},
	},
	{
		why: "an empty element of a list is none", rule: "RFC 9110, 5.6.1.2: MUST parse and ignore empty list elements",
		of: "status", when: func(c fileCase, theirs, ours string) bool {
			return strings.Contains(c.fieldValue("Range"), ",,") && theirs == "416" && ours == "206"
		},
	},
	{
		why: "an answer with a part says too that there are parts", rule: "RFC 9110, 14.3: MAY",
		of: "Accept-Ranges", when: func(c fileCase, theirs, ours string) bool {
			return c.has("Range") && theirs == "" && ours == "bytes"
		},
	},
	{
		why: "there are parts of what is compressed, too", rule: "RFC 9110, 14.1: ranges are of the selected representation, and a coding is part of it",
		of: "", when: func(c fileCase, theirs, ours string) bool {
			return c.target == "/styles.css" && c.has("Accept-Encoding") &&
				(c.has("Range") && theirs == "200" && ours == "206" || theirs == "" && ours == "bytes" || c.has("Range") && theirs == "200" && ours == "416")
		},
	},

	// Codings.
	{
		why: "x-gzip is gzip, and * is every coding", rule: "RFC 9110, 8.4.1.3 and 12.5.3",
		of: "", when: func(c fileCase, theirs, ours string) bool {
			value := c.fieldValue("Accept-Encoding")
			return c.target == "/styles.css" && (value == "x-gzip" || value == "*")
		},
	},
}

func (c fileCase) has(name string) bool { return c.fieldValue(name) != "" }

// owes reports whether a status is what RFC 9110, 13.2.2, makes of the preconditions
// of a request for a file that was there, and changed at modified.
func (c fileCase) owes(status string) bool {
	since, noSince := http.ParseTime(c.fieldValue("If-Modified-Since"))
	until, noUntil := http.ParseTime(c.fieldValue("If-Unmodified-Since"))
	if c.has("If-Match") {
		if !names(c.fieldValue("If-Match"), false) {
			return status == "412"
		}
	} else if noUntil == nil && modified.After(until) {
		return status == "412"
	}
	if c.has("If-None-Match") {
		if names(c.fieldValue("If-None-Match"), true) {
			return status == "304"
		}
	} else if noSince == nil && !modified.After(since) {
		return status == "304"
	}
	return status == "200" || status == "206" || status == "416"
}

// names reports whether a list of tags has the file's.
func names(list string, weakly bool) bool {
	if list == "*" {
		return true
	}
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "{etag}" || weakly && one == "W/{etag}" {
			return true
		}
	}
	return false
}

// compare asks both and reports what differs and is not accepted.
func (s *fileServers) compare(t *testing.T, c fileCase) {
	t.Helper()
	answer := s.ours.ask(t, c)
	if tag := answer.header.Get("Etag"); answer.status < 400 && tag != "" {
		if want := s.ours.etag(t, c.target, answer.header.Get("Content-Encoding")); tag != want && answer.status != 304 || tag != want && tag != s.ours.etag(t, c.target, "gzip") {
			t.Errorf("%s: %d: Etag is %s, and was %s", c, answer.status, tag, want)
		}
	}
	theirs, ours := s.theirs.ask(t, c).aspects(), answer.aspects()
	if theirs["status"] != ours["status"] {
		if !s.accepts(c, "status", theirs["status"], ours["status"]) {
			t.Errorf("%s: %s, and nginx says %s", c, ours["status"], theirs["status"])
		}
		return
	}
	for _, of := range slices.Sorted(maps.Keys(theirs)) {
		if a, b := theirs[of], ours[of]; a != b && !s.accepts(c, of, a, b) {
			t.Errorf("%s: %s: %s is %.100q, and nginx says %.100q", c, ours["status"], of, b, a)
		}
	}
}

func (s *fileServers) accepts(c fileCase, of, theirs, ours string) bool {
	for i, d := range accepted {
		if (d.of == of || d.of == "") && d.when(c, theirs, ours) {
			s.used[i]++
			return true
		}
	}
	return false
}
