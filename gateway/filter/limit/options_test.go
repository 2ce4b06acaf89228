package limit_test

import (
	"strings"
	"testing"
	"time"

	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
)

func TestOptions(t *testing.T) {
	good := limit.Rate{Rate: rate(t, "10/s")}
	rateWith := func(f func(o *limit.Rate)) limit.Rate {
		o := good
		f(&o)
		return o
	}
	for _, c := range []struct {
		o    interface{ Validate() error }
		want []string // the beginning and a part of each message
	}{
		{good, nil},
		{good.WithDefaults(), nil},
		{rateWith(func(o *limit.Rate) { *o = limit.Rate{} }), []string{"rate: there is none: write"}},
		{rateWith(func(o *limit.Rate) { o.Key = "client.ip" }), nil},
		{rateWith(func(o *limit.Rate) { o.Key = `request.header["x"] + string(client.ip)` }), nil},
		{rateWith(func(o *limit.Rate) { o.Key = "request.headers" }), []string{"key: column"}},
		{rateWith(func(o *limit.Rate) { o.Key = "1 + 1" }), []string{"key: column 1: the expression gives an int, and string is wanted: write string(1 + 1)"}},
		{rateWith(func(o *limit.Rate) { o.Burst = -1 }), []string{"burst: -1 is not between"}},
		{rateWith(func(o *limit.Rate) { o.Burst = 2_000_000 }), []string{"burst: 2000000 is not between"}},
		{rateWith(func(o *limit.Rate) { o.Rate, o.Burst = rate(t, "1/d"), 400 }), []string{"burst: at 1/d it takes more than a year"}},
		{rateWith(func(o *limit.Rate) { o.Rate, o.Burst = rate(t, "1/d"), 1_000_000 }), []string{"burst: at 1/d it takes more than a year"}},
		{rateWith(func(o *limit.Rate) { o.Rate = rate(t, "1000000000/1ms") }), nil},
		{rateWith(func(o *limit.Rate) { o.Delay = 2 * time.Minute }), []string{"delay: no request may wait for 2m0s: write 1m"}},
		{rateWith(func(o *limit.Rate) { o.Delay = -1 }), nil},
		{rateWith(func(o *limit.Rate) { o.Name = "läuft" }), []string{"name: "}},
		{rateWith(func(o *limit.Rate) { o.Name = strings.Repeat("x", 65) }), []string{"name: "}},
		{rateWith(func(o *limit.Rate) { o.Store = "local" }), nil},
		{rateWith(func(o *limit.Rate) { o.Store = "redis://:secret@localhost:6379/0" }), nil},
		{rateWith(func(o *limit.Rate) { o.Store = "memcached://:secret@localhost" }), []string{"store: this is no store"}},
		{rateWith(func(o *limit.Rate) { o.Store = "redis://:secret@%zz" }), []string{"store: this is no store"}},
		{rateWith(func(o *limit.Rate) { *o = limit.Rate{Key: "x", Burst: -1, Delay: time.Hour, Name: "\n", Store: "x"} }), []string{"rate: ", "key: ", "burst: ", "delay: ", "name: ", "store: "}},
		{limit.InFlight{Limit: 1}, nil},
		{limit.InFlight{Limit: 1}.WithDefaults(), nil},
		{limit.InFlight{}, []string{"limit: 0 is not between 1"}},
		{limit.InFlight{Limit: -1, Key: "("}, []string{"limit: -1", "key: "}},
		{limit.Bandwidth{Rate: 1}, nil},
		{limit.Bandwidth{Rate: notation.Off}.WithDefaults(), nil},
		{limit.Bandwidth{After: 1}, []string{"rate: there is none: write"}},
	} {
		err := c.o.Validate()
		if err == nil {
			if c.want != nil {
				t.Errorf("%+v: no mistake, want %q", c.o, c.want)
			}
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("%+v: got %q, want %q", c.o, lines, c.want)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, c.want[i]) || !strings.Contains(line, ": write ") && !strings.Contains(line, ": take ") || strings.Contains(line, "secret") {
				t.Errorf("%+v: got %q, want %q and a cure", c.o, line, c.want[i])
			}
		}
	}
}
