package accesslog

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendJSON appends e as one line of JSON. Durations are seconds.
func appendJSON(b []byte, e *Entry) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, e.Time)
	b = append(b, `","msg":"request"`...)
	b = jsonField(b, `,"request_id":"`, e.RequestID, maxField)
	b = jsonField(b, `,"trace_id":"`, e.TraceID, maxField)
	if e.Client.IsValid() {
		b = append(b, `,"client":"`...)
		b = e.Client.WithZone("").AppendTo(b)
		b = append(b, '"')
	}
	b = jsonField(b, `,"proto":"`, e.Proto, maxField)
	b = jsonField(b, `,"method":"`, e.Method, maxField)
	b = jsonField(b, `,"host":"`, e.Host, maxField)
	b = jsonField(b, `,"path":"`, e.Path, maxPath)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(e.Status), 10)
	b = strconv.AppendInt(append(b, `,"bytes_in":`...), e.BytesIn, 10)
	b = strconv.AppendInt(append(b, `,"bytes_out":`...), e.BytesOut, 10)
	b = appendSeconds(append(b, `,"duration":`...), e.Duration)
	b = jsonField(b, `,"site":"`, e.Site, maxField)
	b = jsonField(b, `,"cache":"`, e.Cache, maxField)
	if e.Pool != "" {
		b = jsonField(b, `,"pool":"`, e.Pool, maxField)
		b = appendSeconds(append(b, `,"queue":`...), e.Queue)
		b = appendSeconds(append(b, `,"worker":`...), e.Worker)
	}
	b = jsonField(b, `,"member":"`, e.Member, maxField)
	if e.Retries > 0 {
		b = strconv.AppendInt(append(b, `,"retries":`...), int64(e.Retries), 10)
	}
	b = jsonField(b, `,"err":"`, e.Err, maxField)
	if e.Aborted {
		b = append(b, `,"aborted":true`...)
	}
	return append(b, '}', '\n')
}

// appendTime appends t in RFC 3339 with milliseconds, and with the zone, so that
// lines can be merged. Package time is quick only with its own format.
func appendTime(b []byte, t time.Time) []byte {
	const zone = len("2006-01-02T15:04:05") // where it begins
	begin := len(b)
	b = append(t.AppendFormat(b, time.RFC3339), ".000"...)
	at := b[begin+zone:]
	copy(at[4:], at)
	millis := t.Nanosecond() / 1e6
	at[0], at[1], at[2], at[3] = '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10)
	return b
}

// jsonField appends open, the value and a closing quote; nothing without a value.
func jsonField(b []byte, open, value string, limit int) []byte {
	if value == "" {
		return b
	}
	value, cut := clip(value, limit)
	b = appendJSONString(append(b, open...), value)
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

// appendJSONString appends s as the inside of a JSON string. What no terminal
// should get to see is escaped too: DEL, C1 controls, marks of direction, and
// everything else that does not print; bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7F && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
			if unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) {
				i += n
				continue
			}
		}
		b = append(b, s[start:i]...)
		b = appendEscape(b, r)
		i += n
		start = i
	}
	return append(b, s[start:]...)
}

// appendEscape appends r as an escape of JSON.
func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	if r > 0xFFFF {
		r -= 0x10000
		b = appendUnit(b, 0xD800+r>>10)
		r = 0xDC00 + r&0x3FF
	}
	return appendUnit(b, r)
}

// appendUnit appends \uXXXX.
func appendUnit(b []byte, u rune) []byte {
	return append(b, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// appendSeconds appends d in seconds with six decimals; a negative d is 0.
func appendSeconds(b []byte, d time.Duration) []byte {
	micros := uint64(max(d, 0) / time.Microsecond)
	b = strconv.AppendUint(b, micros/1e6, 10)
	b = append(b, ".000000"...)
	for i, rest := len(b)-1, micros%1e6; rest > 0; i, rest = i-1, rest/10 {
		b[i] += byte(rest % 10)
	}
	return b
}
