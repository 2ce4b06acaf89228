package livetest_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// fileCase is a request for a file. In the values of its fields {etag} and {ETAG}
// stand for the validator of the file as the server who is asked has it: with
// its quotes, and of the compressed one.
type fileCase struct {
	method, target string
	header         []string // Name: value
}

func (c fileCase) String() string {
	return c.method + " " + c.target + " " + strings.Join(c.header, " | ")
}

// with returns the case with one more field, unless the value is "".
func (c fileCase) with(name, value string) fileCase {
	if value != "" {
		c.header = append(slices.Clip(c.header), name+": "+value)
	}
	return c
}

// fieldValue returns what the case says of a field, "" if nothing.
func (c fileCase) fieldValue(name string) string {
	for _, line := range c.header {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return value
		}
	}
	return ""
}

func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

var (
	targets = []string{
		"/", "/index.html", "/hello.txt", "/styles.css", "/big.bin", "/empty.txt", "/noext", "/odd.xyzzy", "/data.json",
		"/picture.svg", "/picture.png", "/a%20b.txt", "/%C3%A4.txt", "/page.html", "/page.html?query=1", "/hello%2etxt", "/%68ello.txt",
		"/sub/", "/sub", "/sub?a=b", "/sub/index.html", "/sub/deep", "/sub/deep/", "/sub/deep/file.txt", "/sub/./deep/../index.html",
		"/bare", "/bare/", "/bare/file.txt", "/missing", "/missing/", "/sub/missing/deeper", "//hello.txt", "/sub//index.html",
		"/hello.txt/", "/hello.txt/more", "/.hidden", "/.git/config", "/.well-known/security", "/styles.css.gz",
		"/inside.txt", "/outside.txt", "/loop", "/../outside.txt", "/%2e%2e/outside.txt", "/sub/..%2f..%2foutside.txt", "/sub/..%5c..%5coutside.txt",
		"/hello.txt%00", "/hello.txt%20", "/hello.txt.", "/HELLO.TXT", "/" + strings.Repeat("x", 300), "/" + strings.Repeat("d/", 500),
	}

	matchValues     = []string{"", "{etag}", "W/{etag}", `"other"`, "*", `"other", {etag}`, `W/"x",W/{etag} , "y"`, `"unclosed`, "bare", `"a""b"`, ","}
	sinceValues     = []string{"", httpDate(modified), httpDate(modified.Add(-time.Hour)), httpDate(modified.Add(time.Hour)), "yesterday"}
	ifRangeValues   = []string{"", "{etag}", "W/{etag}", `"other"`, httpDate(modified), httpDate(modified.Add(-time.Hour)), httpDate(modified.Add(time.Hour)), "nonsense", `"unclosed`}
	rangeValues     = []string{"bytes=0-0", "bytes=0-9", "bytes=5-", "bytes=-5", "bytes=0-", "bytes=0-99999999", "bytes=-99999999", "bytes=99999999-", "bytes=-0", "bytes=70-71", "bytes=71-"}
	rangeLists      = []string{"bytes=0-0,2-3", "bytes=0-0, 2-3 ,-1", "bytes=0-10,5-15", "bytes=5-6,0-1", "bytes=0-1,99999999-", "bytes=99999998-99999999,99999999-", "bytes=0-,0-,0-", "bytes=0-0,,1-1", "bytes=0-5,6-9"}
	malformedRanges = []string{"bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=1", "bytes=--1", "octets=0-1", "bytes:0-1", "bytes=0-1;2-3", "bytes=0-1x", "bytes=18446744073709551616-", "bytes=0-18446744073709551616", "Bytes=0-1", "bytes = 0-1", "bytes= 0-1", "bytes=0 -1", "bytes=,", "bytes=1-2,x"}
	codingValues    = []string{"gzip", "GZIP", "x-gzip", "gzip;q=0", "gzip;q=0.5", "gzip;q=0.000", "gzip; q=1", "gzip ; q=0", "br", "br, gzip", "deflate, gzip;q=1.0, *;q=0.5", "*", "*;q=0", "identity", "identity;q=0", "gzip;q=0, *", "gzipped", "compress,gzip", "", "gzip, identity;q=0", "gzip;q=2", "gzip;q=x", "gzip;q=0.1234"}
)

// fileCases returns all requests, the same in each run.
func fileCases() []fileCase {
	var out []fileCase
	for _, method := range []string{"GET", "HEAD"} {
		for _, target := range targets {
			out = append(out, fileCase{method, target, nil})
		}
		out = append(out, preconditionCases(method)...)
		out = append(out, rangeCases(method)...)
		out = append(out, codingCases(method)...)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		out = append(out, fileCase{method, "/hello.txt", nil}, fileCase{method, "/missing", nil}, fileCase{method, "/sub", nil})
	}
	return append(out, anyCases(300)...)
}

// preconditionCases are those of RFC 9110, section 13, with one another.
func preconditionCases(method string) []fileCase {
	var out []fileCase
	c := fileCase{method, "/hello.txt", nil}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		for _, value := range matchValues[1:] {
			out = append(out, c.with(name, value), fileCase{method, "/missing", nil}.with(name, value), fileCase{method, "/empty.txt", nil}.with(name, value))
		}
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		for _, value := range append(dates(), sinceValues[1:]...) {
			out = append(out, c.with(name, value), fileCase{method, "/missing", nil}.with(name, value))
		}
	}
	for _, match := range matchValues[:5] {
		for _, none := range matchValues[:5] {
			for _, since := range sinceValues {
				out = append(out, c.with("If-Match", match).with("If-None-Match", none).with("If-Modified-Since", since),
					c.with("If-Match", match).with("If-None-Match", none).with("If-Unmodified-Since", since))
			}
		}
	}
	return out
}

// dates are ways to write one: of the RFC, and not.
func dates() []string {
	return []string{
		modified.Format("Monday, 02-Jan-06 15:04:05 GMT"), modified.Format(time.ANSIC), modified.Format("Mon, 2 Jan 2006 15:04:05 GMT"),
		modified.Format("Mon, 02 Jan 2006 15:04:05 +0000"), modified.Format("Mon, 02 Jan 2006 15:04:05"), modified.Format("02 Jan 2006 15:04:05 GMT"),
		modified.Format(time.RFC3339), "0", "-1", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", httpDate(modified) + "; length=71",
		httpDate(modified.Add(time.Second)), httpDate(modified.Add(-time.Second)), httpDate(time.Now().Add(24 * time.Hour)),
	}
}

// rangeCases are those of RFC 9110, section 14.
func rangeCases(method string) []fileCase {
	var out []fileCase
	for _, target := range []string{"/hello.txt", "/empty.txt", "/big.bin"} {
		for _, r := range slices.Concat(rangeValues, rangeLists, malformedRanges) {
			out = append(out, fileCase{method, target, nil}.with("Range", r))
		}
	}
	for _, r := range []string{"bytes=0-9", "bytes=0-1,4-5", "bytes=99999999-"} {
		for _, value := range ifRangeValues[1:] {
			c := fileCase{method, "/hello.txt", nil}.with("Range", r).with("If-Range", value)
			out = append(out, c, c.with("If-None-Match", "{etag}"), c.with("If-Match", `"other"`), c.with("If-Modified-Since", httpDate(modified)))
		}
		for _, target := range []string{"/missing", "/sub", "/sub/", "/bare/", "/"} {
			out = append(out, fileCase{method, target, nil}.with("Range", r))
		}
		for _, value := range matchValues[1:5] {
			out = append(out, fileCase{method, "/hello.txt", nil}.with("Range", r).with("If-Match", value),
				fileCase{method, "/hello.txt", nil}.with("Range", r).with("If-None-Match", value))
		}
	}
	return append(out, fileCase{method, "/hello.txt", nil}.with("If-Range", "{etag}"),
		fileCase{method, "/hello.txt", nil}.with("Range", "bytes="+strings.Repeat("0-0,", 300)+"1-1"))
}

// codingCases are those of RFC 9110, section 12.5.3: one of these files has a .gz.
func codingCases(method string) []fileCase {
	var out []fileCase
	for _, value := range codingValues {
		for _, target := range []string{"/styles.css", "/hello.txt", "/styles.css.gz"} {
			c := fileCase{method, target, []string{"Accept-Encoding: " + value}}
			out = append(out, c)
			if target == "/styles.css" {
				out = append(out, c.with("Range", "bytes=0-9"), c.with("If-None-Match", "{etag}"), c.with("If-None-Match", "{ETAG}"), c.with("If-Modified-Since", httpDate(modified)))
			}
		}
	}
	return out
}

// anyCases are n requests of everything above, drawn.
func anyCases(n int) []fileCase {
	draw := rand.New(rand.NewPCG(6, 9110))
	one := func(list []string) string { return list[draw.IntN(len(list))] }
	sometimes := func(list []string) string {
		if draw.IntN(3) == 0 {
			return one(list)
		}
		return ""
	}
	files := []string{"/hello.txt", "/styles.css", "/big.bin", "/empty.txt", "/sub/", "/noext", "/missing"}
	ranges := slices.Concat(rangeValues, rangeLists)
	since := append(dates(), sinceValues...)
	var out []fileCase
	for range n {
		c := fileCase{one([]string{"GET", "GET", "HEAD"}), one(files), nil}
		c = c.with("If-Match", sometimes(matchValues)).with("If-Unmodified-Since", sometimes(since)).with("If-None-Match", sometimes(matchValues)).
			with("If-Modified-Since", sometimes(since)).with("Range", sometimes(ranges)).with("If-Range", sometimes(ifRangeValues)).with("Accept-Encoding", sometimes([]string{"gzip", "gzip;q=0", "br"}))
		out = append(out, c)
	}
	return out
}
