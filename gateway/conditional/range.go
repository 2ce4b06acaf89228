package conditional

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"headgate/gateway/wire"
)

// MaxRanges is how many ranges one request may ask for; with more it gets the whole.
const MaxRanges = 100

// Range is a part of a representation. It has at least one byte.
type Range struct{ Start, Length int64 }

// ContentRange returns the Content-Range of an answer with this part of size bytes.
func (r Range) ContentRange(size int64) string {
	return string(r.appendTo(make([]byte, 0, 64), size))
}

func (r Range) appendTo(b []byte, size int64) []byte {
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, r.Start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, r.Start+r.Length-1, 10)
	b = append(b, '/')
	return strconv.AppendInt(b, size, 10)
}

// Unsatisfied returns the Content-Range of an answer with 416.
func Unsatisfied(size int64) string { return "bytes */" + strconv.FormatInt(size, 10) }

// Ranges returns the parts of a representation of size bytes that r asks for, in the
// order in which it does. Those that lie behind its end are left out; if all do, ok is
// false and the answer is 416. No ranges, and ok, mean the whole: r is not GET, has no
// Range or several, has one that is malformed or in another unit, its If-Range does
// not hold (only a strong tag or the exact date does), the parts are more than
// MaxRanges or together longer than the whole, or it is not known how long that is
// (size is negative). Check comes before. One range costs one allocation.
func Ranges(r *wire.Request, v Validators, size int64) (ranges []Range, ok bool) {
	if r.Method != http.MethodGet || size < 0 {
		return nil, true
	}
	set, ok := r.Fields.Only("Range")
	const unit = "bytes="
	if !ok || len(set) <= len(unit) || !wire.Same(set[:len(unit)], unit) || !unchanged(r.Fields, v) {
		return nil, true
	}
	return parseRanges(set[len(unit):], size)
}

// unchanged evaluates If-Range.
func unchanged(f wire.Fields, v Validators) bool {
	if !f.Has("If-Range") {
		return true
	}
	cond, ok := f.Only("If-Range")
	if !ok {
		return false
	}
	if tag, rest, ok := cutTag(cond); ok && rest == "" {
		return strongly(tag, v.ETag)
	}
	t, ok := parseDate(cond)
	return ok && !v.Modified.IsZero() && t.Unix() == v.Modified.Unix()
}

// parseRanges reads a range-set (RFC 9110, 14.1.1).
func parseRanges(set string, size int64) (ranges []Range, ok bool) {
	said, all := 0, int64(0)
	for more := true; more; {
		var spec string
		spec, set, more = strings.Cut(set, ",")
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		one, ok := parseRange(spec, size)
		if said++; !ok || said > MaxRanges {
			return nil, true
		}
		switch {
		case one.Length > 0:
			ranges = append(ranges, one)
			all += one.Length
		case one.Start == 0: // of nothing: there is nothing else to send either
			return nil, true
		}
		if all > size {
			return nil, true
		}
	}
	return ranges, said == 0 || len(ranges) > 0
}

// parseRange reads one range-spec. Its length is 0 if it lies behind the end.
func parseRange(spec string, size int64) (r Range, ok bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return r, false
	}
	end, isEnd := position(last)
	if first == "" {
		if !isEnd {
			return r, false
		}
		end = min(end, size)
		return Range{size - end, end}, true
	}
	start, ok := position(first)
	switch {
	case !ok || last != "" && (!isEnd || end < start):
		return r, false
	case last == "":
		end = math.MaxInt64
	}
	if start >= size {
		return Range{start, 0}, true
	}
	return Range{start, min(end, size-1) - start + 1}, true
}

// position parses digits. What does not fit lies behind every end.
func position(s string) (n int64, ok bool) {
	for i := range len(s) {
		d := int64(s[i]) - '0'
		switch {
		case d < 0 || d > 9:
			return 0, false
		case n > (math.MaxInt64-d)/10:
			n = math.MaxInt64
		default:
			n = 10*n + d
		}
	}
	return n, s != ""
}
