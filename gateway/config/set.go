package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"headgate/gateway/notation"
)

// maxQuote is how much of a value a message repeats.
const maxQuote = 60

// quoteShort quotes a value for a message.
func quoteShort(s string) string {
	if r := []rune(s); len(r) > maxQuote {
		s = string(r[:maxQuote]) + "..."
	}
	return strconv.Quote(s)
}

// set stores text in v. It returns what is wrong with it and a cure, or "".
func (r rule) set(v reflect.Value, text string) (msg, hint string) {
	if len(r.enum) > 0 && !slices.Contains(r.enum, text) {
		return r.noWord(text)
	}
	switch v := v.Addr().Interface().(type) {
	case *time.Duration:
		return r.setDuration(v, text)
	case *Size:
		return r.setSize(v, text)
	case *notation.Switch:
		if v.UnmarshalText([]byte(text)) != nil {
			return "want on or off, got " + quoteShort(text), switchHint(text)
		}
		return "", ""
	case *notation.Rate:
		if v.UnmarshalText([]byte(text)) != nil {
			return "want a rate, got " + quoteShort(text), "write it like 10/s, 100/m or 20/10s"
		}
		return "", ""
	case encoding.TextUnmarshaler:
		if err := v.UnmarshalText([]byte(text)); err != nil {
			return splitCure(err.Error())
		}
		return "", ""
	}
	switch v.Kind() {
	case reflect.String:
		if text == "" && !r.empty {
			return "is empty", "give it a value, or remove it"
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return "want true or false, got " + quoteShort(text), boolHint(text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		return r.setInt(v, text)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return "want a number, got " + quoteShort(text), "write it like 0.5"
		}
		v.SetFloat(f)
	default:
		panic("config: a key of type " + v.Type().String())
	}
	return "", ""
}

func (r rule) noWord(text string) (msg, hint string) {
	msg = "want " + strings.Join(r.enum[:len(r.enum)-1], ", ") + " or " + r.enum[len(r.enum)-1] + ", got " + quoteShort(text)
	return msg, didYouMean(text, r.enum)
}

func boolHint(text string) string {
	switch strings.ToLower(text) {
	case "yes", "on", "y", "1", "true":
		return "write true"
	case "no", "off", "n", "0", "false":
		return "write false"
	}
	return ""
}

func switchHint(text string) string {
	return strings.NewReplacer("true", "on", "false", "off").Replace(boolHint(text))
}

func (r rule) setInt(v reflect.Value, text string) (msg, hint string) {
	if text == "off" && r.off {
		v.SetInt(-1)
		return "", ""
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "want a number, got " + quoteShort(text), ""
	}
	if (r.min != 0 || r.max != 0) && (n < r.min || n > r.max) {
		return fmt.Sprintf("%d is out of range", n), fmt.Sprintf("write a number from %d to %d", r.min, r.max) + r.orOff()
	}
	v.SetInt(n)
	return "", ""
}

func (r rule) setDuration(v *time.Duration, text string) (msg, hint string) {
	if text == "off" && r.off {
		*v = -1
		return "", ""
	}
	n, err := time.ParseDuration(text)
	switch {
	case err != nil:
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return "the duration " + quoteShort(text) + " has no unit", fmt.Sprintf("write %ss, %sm or %sms", text, text, text)
		}
		return "want a duration, got " + quoteShort(text), "write it like 500ms, 30s, 1m30s or 2h" + r.orOff()
	case n <= 0:
		return quoteShort(text) + " is no time at all", "write a time over 0" + r.orOff() + ", or remove the key for its default"
	}
	*v = n
	return "", ""
}

func (r rule) setSize(v *Size, text string) (msg, hint string) {
	n, err := notation.ParseSize(text)
	switch {
	case err != nil || n == Off && !r.off:
		return "want a size, got " + quoteShort(text), "write it like 4096, 64KiB, 100MiB or 2GiB" + r.orOff()
	case n == 0:
		return "0 bytes would let nothing pass", "write a size over 0" + r.orOff() + ", or remove the key for its default"
	}
	*v = n
	return "", ""
}

func (r rule) orOff() string {
	if r.off {
		return ", or off"
	}
	return ""
}
