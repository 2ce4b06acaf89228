package coding_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"headgate/gateway/coding"
	"headgate/gateway/wire"
)

func accept(lines ...string) wire.Fields {
	f := wire.Fields{{Name: "Host", Value: "a"}}
	for _, l := range lines {
		f.Add("accept-encoding", l)
	}
	return f
}

func TestChoose(t *testing.T) {
	offers := []string{"zstd", "br", "gzip"}
	for _, test := range []struct {
		want  string
		lines []string
	}{
		// examples of RFC 9110, 12.5.3
		{"gzip", []string{"compress, gzip"}},
		{"", []string{""}},
		{"zstd", []string{"*"}},
		{"", []string{"compress;q=0.5, gzip;q=0"}},
		{"gzip", []string{"gzip;q=1.0, identity; q=0.5, *;q=0"}},

		{"", nil},
		{"zstd", []string{"gzip, deflate, br, zstd"}}, // browsers
		{"br", []string{"gzip, deflate, br"}},
		{"gzip", []string{"gzip, deflate"}},
		{"", []string{"deflate"}},
		{"br", []string{"gzip", "br"}}, // several lines are one list
		{"br", []string{"gzip,, ,br,"}},
		{"gzip", []string{"GZIP"}},
		{"gzip", []string{"x-gzip"}},
		{"gzip", []string{"\tgzip\t;\tq=0.1\t"}},
		{"br", []string{"br;Q=0.1"}},

		// weights
		{"gzip", []string{"zstd;q=0.1, br;q=0.2, gzip;q=0.3"}},
		{"br", []string{"zstd;q=0.999, br;q=1.000, gzip;q=1"}},
		{"br", []string{"zstd;q=0.5, br;q=0.501"}},
		{"", []string{"zstd;q=0, br;q=0.0, gzip;q=0.000"}},
		{"br", []string{"*;q=0.5, zstd;q=0"}},
		{"gzip", []string{"*;q=0.5, gzip"}},
		{"zstd", []string{"*;q=0.5, gzip;q=0.5"}},
		{"gzip", []string{"zstd;q=0.1, *;q=0, gzip;q=0.4"}},
		{"", []string{"*;q=0"}},
		{"gzip", []string{"gzip, *;q=0"}},
		{"zstd", []string{"zstd;q=0.5, zstd;q=0"}}, // the first
		{"gzip", []string{"gzip;level=9;q=0.5, br;q=0.4"}},

		// identity
		{"", []string{"identity"}},
		{"", []string{"identity, gzip;q=0.5"}},
		{"gzip", []string{"identity, gzip"}}, // as much
		{"gzip", []string{"identity;q=0.5, gzip"}},
		{"", []string{"identity;q=0"}}, // nothing else is there
		{"", []string{"identity;q=0, deflate"}},
		{"br", []string{"identity;q=0, *;q=0.1, zstd;q=0.01"}},

		// weights that are none
		{"", []string{"gzip;q=2"}},
		{"", []string{"gzip;q="}},
		{"", []string{"gzip;q=-1"}},
		{"", []string{"gzip;q=1.001"}},
		{"", []string{"gzip;q=0.1234"}},
		{"", []string{"gzip;q=0,5"}},
		{"", []string{"gzip;q=.5"}},
		{"", []string{"gzip;q=1e0"}},
		{"gzip", []string{"gzip;q=1."}}, // RFC 9110, 12.4.2: "1" [ "." 0*3("0") ]
		{"br", []string{"gzip;q=x, br;q=0.001"}},
		{"", []string{";q=1"}},
		{"", []string{"gzip br"}},
	} {
		if got := coding.Choose(accept(test.lines...), offers...); got != test.want {
			t.Errorf("Accept-Encoding: %s\ngot %q, want %q", strings.Join(test.lines, " | "), got, test.want)
		}
	}
}

func TestChooseOrderOfTheServer(t *testing.T) {
	f := accept("gzip, br, zstd")
	for _, offers := range [][]string{{"gzip", "br"}, {"br", "gzip"}, {"zstd"}} {
		if got := coding.Choose(f, offers...); got != offers[0] {
			t.Errorf("of %q: got %q, want the first", offers, got)
		}
	}
	if got := coding.Choose(f); got != "" {
		t.Errorf("of nothing: got %q", got)
	}
	many := slices.Repeat([]string{"nothing"}, 64)
	if got := coding.Choose(f, append(many, "gzip")...); got != "" {
		t.Errorf("behind 64 offers: got %q", got)
	}
}

func TestChooseDoesNotAllocate(t *testing.T) {
	f := accept("gzip;q=0.9, deflate", "br;q=0.8, zstd;q=0.8, *;q=0")
	offers := []string{"zstd", "br", "gzip"}
	if n := testing.AllocsPerRun(100, func() { coding.Choose(f, offers...) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { coding.Choose(f, "br", "gzip") }); n > 0 {
		t.Errorf("%v allocations with offers in place", n)
	}
}

// slowly is Choose as one would write it down from the RFC.
func slowly(line string, offers []string) string {
	weights := map[string]float64{}
	for e := range strings.SplitSeq(line, ",") {
		name, params, has := strings.Cut(e, ";")
		if name = strings.ToLower(strings.Trim(name, " \t")); name == "x-gzip" {
			name = "gzip"
		}
		q, ok := 1.0, name != ""
		for has && ok {
			var p string
			p, params, has = strings.Cut(params, ";")
			p = strings.Trim(p, " \t")
			if v, is := strings.CutPrefix(strings.ToLower(p), "q="); is {
				f, err := strconv.ParseFloat(v, 64)
				q, ok = f, err == nil && len(v) <= 5 && strings.Trim(v, "0123456789.") == "" && v[0] != '.' && f <= 1 && (len(v) == 1 || v[1] == '.')
			}
		}
		if _, again := weights[name]; ok && !again {
			weights[name] = q
		}
	}
	best, most := "", 0.0
	for _, o := range offers {
		q, named := weights[o]
		if !named {
			q = weights["*"]
		}
		if q > most {
			best, most = o, q
		}
	}
	if weights["identity"] > most {
		return ""
	}
	return best
}

func FuzzChoose(f *testing.F) {
	for _, s := range []string{"gzip, deflate, br, zstd", "*;q=0.5, gzip;q=0", "identity;q=0, br;q=0.001", "gzip;q=1.001,br;q=", "br;q=0.5;q=0.7"} {
		f.Add(s)
	}
	offers := []string{"zstd", "br", "gzip"}
	f.Fuzz(func(t *testing.T, line string) {
		for i := range line {
			if c := line[i]; c != '\t' && (c < ' ' || c > '~') {
				return // not what an engine lets pass, or not the same in lower case
			}
		}
		if got, want := coding.Choose(accept(line), offers...), slowly(line, offers); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	})
}

func BenchmarkChoose(b *testing.B) {
	f := accept("gzip, deflate, br, zstd")
	for b.Loop() {
		coding.Choose(f, "zstd", "br", "gzip")
	}
}
