package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/worker"
	"headgate/upstream/worker/python"
)

func TestValidate(t *testing.T) {
	app := func(change func(*worker.Options)) worker.Options {
		o := worker.Options{App: "shop:app"}
		change(&o)
		return o
	}
	for _, c := range []struct {
		o    worker.Options
		want string // with which the message begins; "": none
	}{
		{worker.Options{App: "."}, ""},
		{worker.Options{Command: []string{"serve"}, Processes: 4}, ""},
		{worker.Options{Ini: "shop.ini"}, ""},
		{worker.Options{}, "app: nothing says what is to run: write "},
		{worker.Options{App: "a", Ini: "b"}, "app: app, command and ini are said together: keep one"},
		{worker.Options{Command: []string{""}}, "command: the program has no name"},
		{worker.Options{Command: []string{"x"}, Server: python.UWSGI}, "server: it is for an app, and a command says itself what runs: remove it"},
		{worker.Options{Ini: "x.ini", Max: 3}, "max: it is for an app, and an ini file"},
		{app(func(o *worker.Options) { o.Processes = 5000 }), "processes: 5000 is out of range: write auto, or a number from 1 to 1024"},
		{app(func(o *worker.Options) { o.Threads = 5000 }), "threads: 5000 is out of range: write a number from 1 to 1024"},
		{app(func(o *worker.Options) { o.Min = 2 }), "min: it is said without max: write"},
		{app(func(o *worker.Options) { o.Min, o.Max = 5, 2 }), "min: 5 is more than max, which is 2: write"},
		{app(func(o *worker.Options) { o.Processes, o.Max = 5, 2 }), "processes: 5 is not from min to max"},
		{app(func(o *worker.Options) { o.Processes, o.Min, o.Max = 5, 2, 8 }), ""},
		{app(func(o *worker.Options) { o.Max = -1 }), "max: -1 is out of range: write"},
		{app(func(o *worker.Options) { o.MaxRequests = -1 }), "max_requests: -1 is out of range: write"},
		{app(func(o *worker.Options) { o.MaxRSS = 1000 }), "max_rss: 1000 is less than any Python needs: write a size from 16MiB"},
		{app(func(o *worker.Options) { o.MaxRSS = -1 }), ""},
		{app(func(o *worker.Options) { o.Idle = time.Millisecond }), "idle: 1ms is out of range: write a duration from 100ms to 24h0m0s, such as 10m"},
		{app(func(o *worker.Options) { o.Idle = -1 }), ""},
		{app(func(o *worker.Options) { o.Stop = -1 }), "stop_timeout: -1ns is out of range: write"},
		{app(func(o *worker.Options) { o.Start = 48 * time.Hour }), "start_timeout: 48h0m0s is out of range: write"},
		{app(func(o *worker.Options) { o.Env = map[string]string{"A=B": "1"} }), `env: "A=B" is no name of a variable: write`},
		{app(func(o *worker.Options) { o.Env = map[string]string{"A": "1\x00"} }), "env: the value of A has a NUL in it: take it out"},
		{app(func(o *worker.Options) { o.User = "a:b:c" }), `user: "a:b:c" is no user: write`},
		{app(func(o *worker.Options) { o.User = "www:www" }), ""},
		{app(func(o *worker.Options) { o.Chdir = "/srv\n" }), "chdir: it has a line break or a NUL in it: take it out"},
		{app(func(o *worker.Options) { o.Flags = []string{"\x00"} }), "flags: a word has a NUL in it: take it out"},
	} {
		err := c.o.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c.o, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%+v: got %v, want %s", c.o, err, c.want)
		}
		if err := c.o.WithDefaults().Validate(); (err == nil) != (c.want == "") {
			t.Errorf("%+v with defaults: %v", c.o, err)
		}
	}
	all := worker.Options{Threads: -1, Min: -1, Stop: -1}.Validate()
	if n := strings.Count(all.Error(), "\n"); n != 3 {
		t.Errorf("%d lines: %v", n+1, all)
	}
}

func TestWithDefaults(t *testing.T) {
	got := worker.Options{App: "a:b", Chdir: "/srv/shop/", Max: 4, MaxRSS: -1, Idle: -1, Flags: []string{}}.WithDefaults()
	want := worker.Options{App: "a:b", Chdir: "/srv/shop", Threads: 1, Min: 1, Max: 4, Start: time.Minute, Stop: 30 * time.Second}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(got, got.WithDefaults()); d != "" {
		t.Errorf("twice: %s", d)
	}
}

func TestCount(t *testing.T) {
	for text, want := range map[string]worker.Count{"auto": 0, "1": 1, "1024": 1024} {
		var c worker.Count
		if err := c.UnmarshalText([]byte(text)); err != nil || c != want {
			t.Errorf("%s: %d, %v", text, c, err)
		}
		if again, err := c.MarshalText(); string(again) != text || err != nil {
			t.Errorf("%s is written %s, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1025", "many", "1.5"} {
		if err := new(worker.Count).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
