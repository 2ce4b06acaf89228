package expression_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway/expression"
)

// certificate is self-signed, with the serial 0x2a.
func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := pkix.Name{CommonName: "till 4", Organization: []string{"Shop"}}
	template := &x509.Certificate{SerialNumber: big.NewInt(42), Subject: name, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func view(t testing.TB) expression.View {
	t.Helper()
	return expression.View{
		Method: "POST", Scheme: "https", Host: "shop.example.com", Path: "/u/7/edit", Proto: "HTTP/2.0",
		RawQuery: "q=a+b%21&q=second&empty=&bare&bad=%zz&x;y=1",
		Header: http.Header{
			"X-User": {"ann"}, "Accept": {"text/html", "text/plain"}, "X-Empty": {""},
			"Cookie": {`session=s1; theme="dark" ; session=s2`, "late=1"},
		},
		Client: netip.MustParseAddr("10.1.2.3"),
		Cert:   certificate(t),
		TLS:    &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "shop.example.com", NegotiatedProtocol: "h2"},
		Now:    time.Date(2026, 11, 5, 14, 30, 0, 0, time.FixedZone("", 3600)),
	}
}

func compile(t testing.TB, source string, want expression.Type) *expression.Program {
	t.Helper()
	p, err := expression.Compile(source, want)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p
}

func text(t testing.TB, source string, v expression.View) string {
	t.Helper()
	s, err := compile(t, source, expression.String).String(v)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return s
}

func truth(t testing.TB, source string, v expression.View) bool {
	t.Helper()
	b, err := compile(t, source, expression.Bool).Bool(v)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return b
}

func TestTextVariables(t *testing.T) {
	v := view(t)
	sum := sha256.Sum256(v.Cert.Raw)
	for source, want := range map[string]string{
		`request.method`:                   "POST",
		`request.scheme`:                   "https",
		`request.host`:                     "shop.example.com",
		`request.path`:                     "/u/7/edit",
		`request.proto`:                    "HTTP/2.0",
		`request.header["x-user"]`:         "ann",
		`request.header["X-USER"]`:         "ann",
		`request.header["X-" + "uSER"]`:    "ann",
		`request.header.accept`:            "text/html, text/plain",
		`request.header["host"]`:           "shop.example.com",
		`request.query["q"]`:               "a b!",
		`request.query.q`:                  "a b!",
		`request.query["bare"]`:            "",
		`request.query["bad"]`:             "",
		`request.query["y"]`:               "",
		`request.cookie["session"]`:        "s1",
		`request.cookie["theme"]`:          "dark",
		`request.cookie["late"]`:           "1",
		`request.cookie["Session"]`:        "",
		`string(client.ip)`:                "10.1.2.3",
		`client.cert.subject`:              "CN=till 4,O=Shop",
		`client.cert.issuer`:               "CN=till 4,O=Shop",
		`client.cert.serial`:               "2a",
		`client.cert.fingerprint`:          hex.EncodeToString(sum[:]),
		`tls.version`:                      "TLSv1.3",
		`tls.cipher`:                       "TLS_AES_128_GCM_SHA256",
		`tls.server_name`:                  "shop.example.com",
		`tls.alpn`:                         "h2",
		`string(now.getHours())`:           "13",
		`request.host + ":" + tls.alpn`:    "shop.example.com:h2",
		`request.path.split("/")[2]`:       "7",
		`request.path.substring(3, 4)`:     "7",
		`request.host.replace("shop", "")`: ".example.com",
		`request.host.upperAscii()`:        "SHOP.EXAMPLE.COM",
		`strings.quote(request.scheme)`:    `"https"`,
		`request.header["x-user"] != "" ? request.header["x-user"] : string(client.ip)`: "ann",
		`["b", request.scheme].join("-")`:                                               "b-https",
		`request.query.filter(k, k != "q").map(k, k + "=").join("&")`:                   "empty=&bare=",
	} {
		if got := text(t, source, v); got != want {
			t.Errorf("%s = %q, want %q", source, got, want)
		}
	}
}

func TestConditions(t *testing.T) {
	v := view(t)
	for source, want := range map[string]bool{
		`client.ip in ["10.0.0.0/8"] && request.method != "DELETE"`:      true,
		`client.ip in ["10.0.0.0/8"] && request.method == "DELETE"`:      false,
		`client.ip in ["192.0.2.7", "::1"]`:                              false,
		`client.ip in ["192.0.2.7", "10.1.2.3"]`:                         true,
		`client.ip in ["::ffff:10.0.0.0/104"]`:                           true,
		`client.ip in ["::/0"]`:                                          false,
		`!(client.ip in ["10.1.2.3/8"])`:                                 false,
		`client.ip in []`:                                                false,
		`client.ip == client.ip`:                                         true,
		`request.method in ["GET", "POST"]`:                              true,
		`"x-user" in request.header`:                                     true,
		`"X-User" in request.header`:                                     true,
		`"x-empty" in request.header`:                                    true,
		`"host" in request.header`:                                       true,
		`"nobody" in request.header`:                                     false,
		`"bare" in request.query`:                                        true,
		`"bad" in request.query`:                                         false,
		`"theme" in request.cookie && !("thema" in request.cookie)`:      true,
		`client.cert.present`:                                            true,
		`request.path.matches("^/u/[0-9]+/")`:                            true,
		`matches(request.path, r"^/u/\d$")`:                              false,
		`request.header.exists(k, k.startsWith("x-"))`:                   true,
		`request.header.all(k, k.startsWith("x-"))`:                      false,
		`request.header.exists(k, request.header[k] == "ann")`:           true,
		`request.path.split("/").exists(p, p == "edit")`:                 true,
		`size(request.header) == 5 && size(request.query) == 3`:          true,
		`size(request.cookie) == 3`:                                      true,
		`request.query == request.query`:                                 true,
		`request.query == {"q": "a b!", "empty": "", "bare": ""}`:        true,
		`request.query == request.cookie`:                                false,
		`now < timestamp("2026-11-05T13:30:01Z")`:                        true,
		`now - duration("1h") == timestamp("2026-11-05T12:30:00Z")`:      true,
		`now.getDayOfWeek() in [1, 2, 3, 4, 5] && now.getHours() >= 8`:   true,
		`[1, 2].exists(now, now == 2) && [1].all(request, request == 1)`: true,
		`type(request.host) == string`:                                   true,
	} {
		if got := truth(t, source, v); got != want {
			t.Errorf("%s = %v, want %v", source, got, want)
		}
	}
}

// A request that has nothing brings no error about.
func TestAbsentIsEmpty(t *testing.T) {
	for _, source := range []string{
		`request.method`, `request.header["x"]`, `request.header.x`, `request.query["x"]`, `request.cookie["x"]`, `string(client.ip)`,
		`client.cert.subject`, `client.cert.issuer`, `client.cert.serial`, `client.cert.fingerprint`, `tls.version`, `tls.cipher`, `tls.server_name`, `tls.alpn`,
	} {
		if got := text(t, source, expression.View{}); got != "" {
			t.Errorf("%s = %q, want nothing", source, got)
		}
	}
	for _, source := range []string{`client.cert.present`, `client.ip in ["0.0.0.0/0", "::/0"]`, `size(request.header) > 0`, `request.cookie.exists(k, true)`} {
		if truth(t, source, expression.View{}) {
			t.Errorf("%s of nothing is true", source)
		}
	}
	if !truth(t, `now > timestamp("2026-01-01T00:00:00Z")`, expression.View{}) {
		t.Error("now without a time is not the clock's")
	}
}

// What a client has under another name in IPv6 is in the same network.
func TestMappedClient(t *testing.T) {
	v := expression.View{Client: netip.MustParseAddr("::ffff:10.1.2.3")}
	if !truth(t, `client.ip in ["10.0.0.0/8"]`, v) || text(t, `string(client.ip)`, v) != "10.1.2.3" {
		t.Error("an IPv4 address is another in its IPv6 form")
	}
	v.Client = netip.MustParseAddr("fe80::1%eth0")
	if !truth(t, `client.ip in ["fe80::/10"]`, v) {
		t.Error("an address with a zone is in no network")
	}
}

func TestEvaluationErrors(t *testing.T) {
	for _, source := range []string{
		`int(request.path) == 1`, `request.path.split("/")[9] == ""`, `timestamp(request.host) < now`, `1 / size(request.path.split("-")) == 1 / (size(request.cookie) - 3)`, `{"a": 1}[request.host] == 1`,
	} {
		got, err := compile(t, source, expression.Bool).Bool(view(t))
		if err == nil || got {
			t.Errorf("%s = %v and no error", source, got)
			continue
		}
		if strings.ContainsAny(err.Error(), "\n") || errors.Is(err, expression.ErrLimit) {
			t.Errorf("%s: %q", source, err)
		}
	}
}

func TestTooLongIsAnError(t *testing.T) {
	long := strings.Repeat("a", 64<<10+1)
	many := make(http.Header)
	var query strings.Builder
	for i := range 300 {
		many.Set(fmt.Sprintf("X-%d", i), "1")
		fmt.Fprintf(&query, "k%d=1&", i)
	}
	for source, v := range map[string]expression.View{
		`request.path == "/"`:                              {Path: long},
		`true || request.path == "/"`:                      {},
		`request.path == "/" || true`:                      {Path: long},
		`request.header["x-user"] == ""`:                   {Header: http.Header{"X-User": {long}}},
		`request.header["x-list"] == ""`:                   {Header: http.Header{"X-List": {long[1:], long[1:]}}},
		`request.query["q"] == ""`:                         {RawQuery: long},
		`request.cookie["q"] == ""`:                        {Header: http.Header{"Cookie": {long}}},
		`request.header.exists(k, k == "x")`:               {Header: many},
		`size(request.query) == 1`:                         {RawQuery: query.String()},
		`request.path.split("").exists(p, p.matches("b"))`: {Path: long[1:]},
		`request.header.exists(k, request.header.exists(j, request.header[k] + "b" == request.header[j]))`: {Header: http.Header{"A": {long[1:20000]}, "B": {long[1:20001]}, "C": {long[1:20002]}, "D": {long[1:20003]}, "E": {long[1:20004]}, "F": {long[1:20005]}}},
	} {
		got, err := compile(t, source, expression.Bool).Bool(v)
		if source[0] == 't' { // what is not looked at does not count
			if err != nil || !got {
				t.Errorf("%s: got %v, %v", source, got, err)
			}
			continue
		}
		if !errors.Is(err, expression.ErrLimit) || got {
			t.Errorf("%s: got %v, %v, want ErrLimit", source, got, err)
		}
	}
}

// A value at its bound is read by what one writes every day.
func TestLongestIsRead(t *testing.T) {
	v := expression.View{Path: "/" + strings.Repeat("a", 64<<10-1)}
	for _, source := range []string{
		`request.path.matches("^/[a-z]+$")`, `request.path.lowerAscii() == request.path`, `!request.path.contains("needle")`,
		`request.path.startsWith("/a")`, `request.path.split("/")[0] == ""`, `request.path.endsWith("a") && request.path.size() == 65536`,
	} {
		if !truth(t, source, v) {
			t.Errorf("%s is false", source)
		}
	}
}

// What an evaluation has seen, the next one does not see.
func TestNothingIsKept(t *testing.T) {
	p := compile(t, `request.header["x-user"] + request.path`, expression.String)
	long := expression.View{Path: strings.Repeat("a", 64<<10+1), Header: http.Header{"X-User": {"ann"}}}
	if _, err := p.String(long); !errors.Is(err, expression.ErrLimit) {
		t.Fatalf("got %v, want ErrLimit", err)
	}
	if s, err := p.String(expression.View{}); s != "" || err != nil {
		t.Errorf("got %q, %v, want nothing", s, err)
	}
}

func TestConcurrently(t *testing.T) {
	p := compile(t, `request.header["x-user"] + "@" + request.query["q"] + "@" + string(client.ip)`, expression.String)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				name := fmt.Sprintf("%d-%d", g, i)
				addr := netip.AddrFrom4([4]byte{10, 0, byte(g), byte(i)})
				got, err := p.String(expression.View{Header: http.Header{"X-User": {name}}, RawQuery: "q=" + name, Client: addr})
				if want := name + "@" + name + "@" + addr.String(); got != want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestSource(t *testing.T) {
	if got := compile(t, " now == now ", expression.Bool).Source(); got != " now == now " {
		t.Errorf("got %q", got)
	}
}

func TestWrongTypePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("String of a condition does not panic")
		}
	}()
	_, _ = compile(t, "true", expression.Bool).String(expression.View{})
}

// The units that evaluation is stopped at are a bound of time.
func TestDearestIsStopped(t *testing.T) {
	p := compile(t, `request.path.split("").all(a, request.path.split("").all(b, a == b))`, expression.Bool)
	begin := time.Now()
	_, err := p.Bool(expression.View{Path: strings.Repeat("a", 64<<10)})
	if took := time.Since(begin); !errors.Is(err, expression.ErrLimit) || took > 2*time.Second {
		t.Errorf("got %v after %v, want ErrLimit soon", err, took)
	}
}

func TestEvaluationAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's pools drop what they hold")
	}
	v := view(t)
	for source, most := range map[string]float64{
		`client.ip in ["10.0.0.0/8"]`: 0,
		`client.ip in ["10.0.0.0/8", "192.168.0.0/16"] && request.method != "DELETE"`: 1,
		`request.header["x-user"] == "ann"`:                                           1,
		`request.path.matches("^/u/[0-9]+/")`:                                         3,
	} {
		p := compile(t, source, expression.Bool)
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Bool(v) }); n > most {
			t.Errorf("%s: %v allocations, want at most %v", source, n, most)
		}
	}
}

func BenchmarkString(b *testing.B) {
	for _, source := range []string{`request.header["x-user"]`, `request.cookie["session"]`, `request.query["q"]`, `request.host + request.path`} {
		b.Run(source, func(b *testing.B) {
			p, v := compile(b, source, expression.String), view(b)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.String(v)
			}
		})
	}
}

func BenchmarkBool(b *testing.B) {
	for _, source := range []string{
		`client.ip in ["10.0.0.0/8", "192.168.0.0/16", "::1"] && request.method != "DELETE"`,
		`request.path.matches("^/u/[0-9]+/")`,
		`request.header.exists(k, k.startsWith("x-"))`,
		`request.header.exists(k, request.header[k].contains("needle"))`, // counted
	} {
		b.Run(source, func(b *testing.B) {
			p, v := compile(b, source, expression.Bool), view(b)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Bool(v)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compile(b, `client.ip in ["10.0.0.0/8"] && request.method != "DELETE"`, expression.Bool)
	}
}
