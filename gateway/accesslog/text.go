package accesslog

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// appendText appends e as one line for people:
//
//	2026-11-23T10:00:00.000Z 203.0.113.9 GET shop.example.com /cart HTTP/2.0 200 0B 1234B 12.3ms site=shop pool=shop …
//
// The first ten words are always there, "-" where there is nothing to say.
func appendText(b []byte, e *Entry) []byte {
	b = appendTime(b, e.Time)
	b = append(b, ' ')
	if e.Client.IsValid() {
		b = e.Client.WithZone("").AppendTo(b)
	} else {
		b = append(b, '-')
	}
	b = appendWord(append(b, ' '), e.Method, maxField)
	b = appendWord(append(b, ' '), e.Host, maxField)
	b = appendWord(append(b, ' '), e.Path, maxPath)
	b = appendWord(append(b, ' '), e.Proto, maxField)
	b = strconv.AppendInt(append(b, ' '), int64(e.Status), 10)
	b = append(strconv.AppendInt(append(b, ' '), e.BytesIn, 10), 'B')
	b = append(strconv.AppendInt(append(b, ' '), e.BytesOut, 10), 'B')
	b = appendMillis(append(b, ' '), e.Duration)
	b = textField(b, " site=", e.Site)
	b = textField(b, " cache=", e.Cache)
	if e.Pool != "" {
		b = textField(b, " pool=", e.Pool)
		b = textField(b, " member=", e.Member)
		b = appendMillis(append(b, " queue="...), e.Queue)
		b = appendMillis(append(b, " worker="...), e.Worker)
	}
	if e.Retries > 0 {
		b = strconv.AppendInt(append(b, " retries="...), int64(e.Retries), 10)
	}
	b = textField(b, " id=", e.RequestID)
	b = textField(b, " trace=", e.TraceID)
	if e.Aborted {
		b = append(b, " aborted"...)
	}
	b = textField(b, " err=", e.Err)
	return append(b, '\n')
}

func textField(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendWord(append(b, key...), value, maxField)
}

// appendWord appends s as it is when it is one plain word, and else quoted with
// the escapes of Go, so that it cannot be taken for more than one word.
func appendWord(b []byte, s string, limit int) []byte {
	if s == "" {
		return append(b, '-')
	}
	s, cut := clip(s, limit)
	if plain(s) {
		b = append(b, s...)
	} else {
		b = strconv.AppendQuote(b, s)
	}
	if cut {
		b = append(b, "…"...)
	}
	return b
}

// plain reports whether s reads as one word: it prints, and has no blank and no
// quote in it. An equals sign makes no field: fields have their own place.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return plainRunes(s[i:])
		}
		if c <= ' ' || c == 0x7F || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func plainRunes(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == ' ' || r == '"' || r == '\\' {
			return false
		}
	}
	return true
}

// appendMillis appends d in milliseconds with one decimal.
func appendMillis(b []byte, d time.Duration) []byte {
	tenths := uint64(max(d, 0) / (100 * time.Microsecond))
	b = strconv.AppendUint(b, tenths/10, 10)
	return append(b, '.', byte('0'+tenths%10), 'm', 's')
}
