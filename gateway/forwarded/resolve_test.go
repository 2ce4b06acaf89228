package forwarded_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"headgate/gateway/forwarded"
	"headgate/gateway/wire"
)

const proxy = "10.0.0.1:5000" // trusted by every test, as is all of 10.0.0.0/8 and fd00::/8

// resolve is Resolve with header lines "Name: value" over plain TCP to h.example.
func resolve(t testing.TB, peer string, lines ...string) forwarded.Result {
	t.Helper()
	var h wire.Fields
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return forwarded.Resolve(mustTrust(t, "10.0.0.0/8", "fd00::/8"), forwarded.NewPeer(netip.MustParseAddrPort(peer)), false, h, "h.example")
}

// text is a Result in one line.
func text(r forwarded.Result) string {
	s := fmt.Sprintf("%s %s://%s [%s]", r.Client, r.Scheme, r.Host, r.For)
	if r.Broken {
		s += " broken"
	}
	return s
}

func TestUntrustedPeerIsNotBelieved(t *testing.T) {
	for peer, want := range map[string]string{
		"192.0.2.9:1234":          "192.0.2.9:1234 http://h.example [192.0.2.9]",
		"[2001:db8::9]:1234":      "[2001:db8::9]:1234 http://h.example [2001:db8::9]",
		"[::ffff:192.0.2.9]:1234": "192.0.2.9:1234 http://h.example [192.0.2.9]",
		"[fe80::1%eth0]:1234":     "[fe80::1%eth0]:1234 http://h.example [fe80::1]",
	} {
		r := resolve(t, peer, "X-Forwarded-For: 10.0.0.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example",
			"Forwarded: for=10.0.0.9;proto=https;host=evil.example")
		if got := text(r); got != want || r.Trusted {
			t.Errorf("got %s, trusted %v, want %s", got, r.Trusted, want)
		}
	}
}

func TestSchemeIsTheConnections(t *testing.T) {
	peer := netip.MustParseAddrPort("192.0.2.9:1")
	if r := forwarded.Resolve(forwarded.Trust{}, forwarded.NewPeer(peer), true, nil, ""); r.Scheme != "https" || r.Host != "" {
		t.Errorf("got %s, want https and no host", text(r))
	}
	trust := mustTrust(t, "192.0.2.9")
	if r := forwarded.Resolve(trust, forwarded.NewPeer(peer), true, nil, "h"); r.Scheme != "https" || !r.Trusted {
		t.Errorf("got %s, want https", text(r))
	}
	h := wire.Fields{{Name: "X-Forwarded-Proto", Value: "http"}}
	if r := forwarded.Resolve(trust, forwarded.NewPeer(peer), true, h, "h"); r.Scheme != "http" {
		t.Errorf("got %s, want http, which the proxy said", text(r))
	}
}

func TestPeerWithoutAddress(t *testing.T) {
	r := forwarded.Resolve(mustTrust(t, "0.0.0.0/0", "::/0"), forwarded.NewPeer(netip.AddrPort{}), false, wire.Fields{{Name: "X-Forwarded-For", Value: "1.2.3.4"}}, "h")
	if r.Trusted || r.For != "unknown" || r.Forwarded() != `for=unknown;proto=http;host="h"` {
		t.Errorf("got %+v, want an unknown client that is not trusted", r)
	}
}

func TestXForwarded(t *testing.T) {
	for _, c := range []struct {
		name, want string
		lines      []string
	}{
		{"nothing", "10.0.0.1:5000 http://h.example [10.0.0.1]", nil},
		{"one hop", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{"X-Forwarded-For: 192.0.2.9"}},
		{"spoofed in front", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{"X-Forwarded-For: 10.9.9.9, 6.6.6.6,192.0.2.9"}},
		{"two proxies", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.2, 10.0.0.1]", []string{"X-Forwarded-For: 6.6.6.6, 192.0.2.9, 10.0.0.2"}},
		{"several lines", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.2, 10.0.0.1]", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.9", "X-Forwarded-For: 10.0.0.2"}},
		{"all trusted", "10.0.0.3:0 http://h.example [10.0.0.3, 10.0.0.2, 10.0.0.1]", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}},
		{"empty items", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{"X-Forwarded-For: ,, 192.0.2.9\t, ,"}},
		{"v4 with port", "192.0.2.9:4711 http://h.example [192.0.2.9, 10.0.0.1]", []string{"X-Forwarded-For: 192.0.2.9:4711"}},
		{"v6", "[2001:db8::9]:0 http://h.example [2001:db8::9, 10.0.0.1]", []string{"X-Forwarded-For: 2001:DB8::9"}},
		{"v6 in brackets", "[2001:db8::9]:0 http://h.example [2001:db8::9, 10.0.0.1]", []string{"X-Forwarded-For: [2001:db8::9]"}},
		{"v6 with port", "[2001:db8::9]:4711 http://h.example [2001:db8::9, 10.0.0.1]", []string{"X-Forwarded-For: [2001:db8::9]:4711"}},
		{"v6 of a v4 proxy", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.2, 10.0.0.1]", []string{"X-Forwarded-For: 192.0.2.9, ::ffff:10.0.0.2"}},
		{"v6 proxy", "192.0.2.9:0 http://h.example [192.0.2.9, fd00::2, 10.0.0.1]", []string{"X-Forwarded-For: 192.0.2.9, fd00::2"}},
		{"unknown", "10.0.0.1:5000 http://h.example [10.0.0.1]", []string{"X-Forwarded-For: 192.0.2.9, unknown"}},
		{"garbage in front", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{"X-Forwarded-For: <script>, 192.0.2.9"}},
		{"garbage at the end", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"X-Forwarded-For: 192.0.2.9, rubbish"}},
		{"garbage in between", "10.0.0.2:0 http://h.example [10.0.0.2, 10.0.0.1] broken", []string{"X-Forwarded-For: 192.0.2.9, rubbish, 10.0.0.2"}},
		{"zone", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"X-Forwarded-For: fe80::1%eth0"}},
		{"proto", "10.0.0.1:5000 https://h.example [10.0.0.1]", []string{"X-Forwarded-Proto: https"}},
		{"proto in capitals", "10.0.0.1:5000 https://h.example [10.0.0.1]", []string{"X-Forwarded-Proto: HTTPS"}},
		{"proto of the last hop", "10.0.0.1:5000 http://h.example [10.0.0.1]", []string{"X-Forwarded-Proto: https, http"}},
		{"proto of a WebSocket", "10.0.0.1:5000 https://h.example [10.0.0.1]", []string{"X-Forwarded-Proto: wss"}},
		{"proto in two lines", "10.0.0.1:5000 https://h.example [10.0.0.1]", []string{"X-Forwarded-Proto: http", "X-Forwarded-Proto: https"}},
		{"proto nobody speaks", "10.0.0.1:5000 http://h.example [10.0.0.1]", []string{"X-Forwarded-Proto: javascript"}},
		{"host", "10.0.0.1:5000 http://shop.example:8443 [10.0.0.1]", []string{"X-Forwarded-Host: shop.example:8443"}},
		{"host of the last hop", "10.0.0.1:5000 http://shop.example [10.0.0.1]", []string{"X-Forwarded-Host: evil.example, shop.example"}},
		{"host v6", "10.0.0.1:5000 http://[::1]:80 [10.0.0.1]", []string{"X-Forwarded-Host: [::1]:80"}},
		{"host with a slash", "10.0.0.1:5000 http://h.example [10.0.0.1]", []string{"X-Forwarded-Host: evil.example/x"}},
		{"host with a user", "10.0.0.1:5000 http://h.example [10.0.0.1]", []string{"X-Forwarded-Host: u@evil.example"}},
		{"host too long", "10.0.0.1:5000 http://h.example [10.0.0.1]", []string{"X-Forwarded-Host: " + strings.Repeat("a", 300)}},
		{
			"both kinds", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]",
			[]string{"X-Forwarded-For: 192.0.2.9", "Forwarded: for=6.6.6.6;proto=https;host=evil.example"},
		},
		{
			"Forwarded beside a lone X-Forwarded-Proto", "10.0.0.1:5000 https://h.example [10.0.0.1]",
			[]string{"X-Forwarded-Proto: https", "Forwarded: for=6.6.6.6;host=evil.example"},
		},
	} {
		if got := text(resolve(t, proxy, c.lines...)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestForwarded(t *testing.T) {
	for _, c := range []struct {
		name, want string
		lines      []string
	}{
		{"one hop", "192.0.2.9:0 https://shop.example [192.0.2.9, 10.0.0.1]", []string{"for=192.0.2.9;proto=https;host=shop.example;by=10.0.0.1"}},
		{"quoted", "[2001:db8::9]:4711 http://shop.example:81 [2001:db8::9, 10.0.0.1]", []string{`For="[2001:db8::9]:4711"; HOST="shop.example:81" ;Proto="http"`}},
		{"quoted pair", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{`for="192.0.\2\.9"`}},
		{"missing quotes", "[2001:db8::9]:47 http://h.example [2001:db8::9, 10.0.0.1]", []string{"for=[2001:db8::9]:47"}},
		{"comma in quotes", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{`for=192.0.2.9;x="a, for=6.6.6.6"`}},
		{"two proxies", "192.0.2.9:0 https://shop.example [192.0.2.9, 10.0.0.2, 10.0.0.1]", []string{"for=6.6.6.6, for=192.0.2.9;proto=https;host=shop.example, for=10.0.0.2;proto=http;host=inner"}},
		{"farthest hop says no more", "192.0.2.9:0 https://inner [192.0.2.9, 10.0.0.2, 10.0.0.1]", []string{"for=192.0.2.9, for=10.0.0.2;proto=https;host=inner"}},
		{"spoofed in front", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{"for=6.6.6.6;proto=https;host=evil.example, for=192.0.2.9"}},
		{"several lines", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.2, 10.0.0.1]", []string{"for=6.6.6.6;proto=https", "for=192.0.2.9", "for=10.0.0.2"}},
		{"empty elements", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{", ,for=192.0.2.9;, ,"}},
		{"unknown", "10.0.0.1:5000 https://h.example [10.0.0.1]", []string{"for=unknown;proto=https"}},
		{"obfuscated", "10.0.0.2:0 http://h.example [10.0.0.2, 10.0.0.1]", []string{"for=_hidden, for=10.0.0.2"}},
		{"obfuscated port", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{`for="192.0.2.9:_x"`}},
		{"without for", "10.0.0.1:5000 https://h.example [10.0.0.1]", []string{"for=192.0.2.9, proto=https"}},
		{"proto nobody speaks", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{"for=192.0.2.9;proto=ftp"}},
		{"host that is none", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{`for=192.0.2.9;host="a b"`}},
		{"bad address", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"for=192.0.2.256"}},
		{"bad port", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{`for="192.0.2.9:99999"`}},
		{"no pair", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"192.0.2.9"}},
		{"no value", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"for="}},
		{"no name", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"=192.0.2.9"}},
		{"twice", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"for=6.6.6.6;for=192.0.2.9"}},
		{"space around =", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{"for = 192.0.2.9"}},
		{"open quote", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{`for="192.0.2.9`}},
		{"open quoted pair", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{`for="192.0.2.9\`}},
		{"behind a quote", "10.0.0.1:5000 http://h.example [10.0.0.1] broken", []string{`for="192.0.2.9"x`}},
		{"a broken line ends the search", "10.0.0.2:0 http://h.example [10.0.0.2, 10.0.0.1] broken", []string{`for="`, "for=10.0.0.2"}},
		{"a broken line of the client's", "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]", []string{`for="`, "for=192.0.2.9"}},
	} {
		lines := make([]string, len(c.lines))
		for i, l := range c.lines {
			lines[i] = "Forwarded: " + l
		}
		if got := text(resolve(t, proxy, lines...)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// A client opens a quote and hopes that the proxy, which adds to the same line,
// closes it: then the client's element would be the last one, or the proxy's would
// be lost and the client pass for the proxy.
func TestForwardedQuoteCannotSwallowTheProxy(t *testing.T) {
	for _, own := range []string{
		`for=6.6.6.6;proto=https;x="`, `for=6.6.6.6;x="\`, `for=6.6.6.6;x=", for="`, `for=6.6.6.6;host="`, `x="`, `"`, `""`, `"""`, `\"`, `\\"`, `for="6.6.6.6`, `for=`, `;`, `for=6.6.6.6;`,
	} {
		for added, want := range map[string]string{
			`for=192.0.2.9`:   "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]",
			`for="192.0.2.9"`: "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]",
			`for="192.0.2.9";proto="http";host="b.example"`: "192.0.2.9:0 http://b.example [192.0.2.9, 10.0.0.1]",
			`for="[2001:db8::9]:47"`:                        "[2001:db8::9]:47 http://h.example [2001:db8::9, 10.0.0.1]",
			`for=192.0.2.9;x="a, for=6.6.6.6;\", b\\"`:      "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]",
			`for="192.0.2.9", for="10.0.0.2";x=","`:         "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.2, 10.0.0.1]",
		} {
			for _, sep := range []string{", ", ",", " ,\t"} {
				if got := text(resolve(t, proxy, "Forwarded: "+own+sep+added)); got != want {
					t.Errorf("%s%s%s: got %s, want %s", own, sep, added, got, want)
				}
			}
		}
	}
}

// X-Forwarded-For has no quotes, so that none can swallow anything.
func TestXForwardedForHasNoQuotes(t *testing.T) {
	for _, own := range []string{`"`, `"6.6.6.6`, `\`, `"\`, `"", "`} {
		if got := text(resolve(t, proxy, "X-Forwarded-For: "+own+", 192.0.2.9")); got != "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]" {
			t.Errorf("%s: got %s, want the client 192.0.2.9", own, got)
		}
	}
}

// A long list costs by its length at most, and mostly by what of it is believed.
func TestHostileListsAreCheap(t *testing.T) {
	for _, line := range []string{
		strings.Repeat(",", 1<<16), strings.Repeat(`"`, 1<<16), strings.Repeat(`\`, 1<<16) + `"`, strings.Repeat(`\"`, 1<<15), strings.Repeat(`a=",",`, 1<<13),
		strings.Repeat("for=10.0.0.2,", 1<<12), strings.Repeat("10.0.0.2,", 1<<12), strings.Repeat(" ", 1<<16), strings.Repeat(";", 1<<16),
	} {
		for _, field := range []string{"X-Forwarded-For", "Forwarded", "X-Forwarded-Host"} {
			begun := time.Now()
			for range 10 {
				resolve(t, proxy, field+": "+line)
			}
			if took := time.Since(begun) / 10; took > 100*time.Millisecond { // quadratic: seconds
				t.Errorf("%s: %.12q... takes %v", field, line, took)
			}
		}
	}
}

func TestChainIsBounded(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("10.0.0.2, ", 500), ", ")
	for _, line := range []string{"X-Forwarded-For: " + many, "Forwarded: for=" + strings.ReplaceAll(many, ", ", ", for=")} {
		r := resolve(t, proxy, line)
		if n := strings.Count(r.For, ",") + 1; n != 33 || r.Client.Addr() != netip.MustParseAddr("10.0.0.2") {
			t.Errorf("%.20s: %d addresses are believed, want 32 and the peer", line, n)
		}
	}
	// The last hops are the ones that count, however many a client put in front.
	if r := resolve(t, proxy, "Forwarded: for="+strings.ReplaceAll(many, ", ", ", for=")+", for=192.0.2.9"); r.Client.String() != "192.0.2.9:0" {
		t.Errorf("got %s, want 192.0.2.9", text(r))
	}
}

func TestForwardedForTheWorker(t *testing.T) {
	for _, c := range []struct {
		r    forwarded.Result
		want string
	}{
		{forwarded.Result{Client: netip.MustParseAddrPort("192.0.2.9:80"), Scheme: "http", Host: "h.example:81"}, `for=192.0.2.9;proto=http;host="h.example:81"`},
		{forwarded.Result{Client: netip.MustParseAddrPort("[2001:db8::9]:80"), Scheme: "https"}, `for="[2001:db8::9]";proto=https`},
		{forwarded.Result{Client: netip.MustParseAddrPort("[fe80::1%eth0]:80"), Scheme: "https"}, `for="[fe80::1]";proto=https`},
		{forwarded.Result{Scheme: "http", Host: `a"b\c`}, `for=unknown;proto=http;host="a\"b\\c"`},
	} {
		if got := c.r.Forwarded(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// What one gateway writes, the next one behind it reads.
func TestForwardedRoundTrip(t *testing.T) {
	for _, client := range []string{"192.0.2.9", "2001:db8::9"} {
		want := forwarded.Result{Client: netip.AddrPortFrom(netip.MustParseAddr(client), 0), Scheme: "https", Host: "[::1]:8443"}
		got := resolve(t, proxy, "Forwarded: "+want.Forwarded())
		if got.Client != want.Client || got.Scheme != want.Scheme || got.Host != want.Host || got.Broken {
			t.Errorf("got %s, want %+v", text(got), want)
		}
	}
}

func TestResolveLeavesTheHeaderAlone(t *testing.T) {
	h := wire.Fields{{Name: "X-Forwarded-For", Value: "6.6.6.6, 192.0.2.9"}, {Name: "X-Forwarded-For", Value: "10.0.0.2"}, {Name: "Forwarded", Value: "for=1.2.3.4"}}
	before := slices.Clone(h)
	forwarded.Resolve(mustTrust(t, "10.0.0.0/8"), forwarded.NewPeer(netip.MustParseAddrPort(proxy)), false, h, "h")
	if !slices.Equal(h, before) {
		t.Errorf("got %v, want %v", h, before)
	}
}

func TestResolveAllocations(t *testing.T) {
	trust := mustTrust(t, "10.0.0.0/8")
	h := wire.Fields{{Name: "X-Forwarded-For", Value: "6.6.6.6, 192.0.2.9"}, {Name: "X-Forwarded-Proto", Value: "https"}}
	for peer, want := range map[string]float64{"192.0.2.1:1": 0, proxy: 2} {
		p := forwarded.NewPeer(netip.MustParseAddrPort(peer))
		if got := testing.AllocsPerRun(100, func() { forwarded.Resolve(trust, p, false, h, "h") }); got > want {
			t.Errorf("peer %s: %v allocations, want %v", peer, got, want)
		}
	}
	r := forwarded.Result{Client: netip.MustParseAddrPort("[2001:db8::9]:80"), Scheme: "https", Host: "shop.example"}
	if got := testing.AllocsPerRun(100, func() { _ = r.Forwarded() }); got > 1 {
		t.Errorf("Forwarded: %v allocations, want 1", got)
	}
}
