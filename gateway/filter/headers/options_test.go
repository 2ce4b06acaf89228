package headers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/filter/headers"
)

// cures begin what a reader is told to do.
var cures = []string{"write", "give", "list", "take", "put", "use", "set", "remove", "leave", "name", "choose", "keep", "send"}

// wantFaults wants exactly the errors that begin so, and a cure at the end of each.
func wantFaults(t *testing.T, err error, want ...string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	for i, line := range got {
		cure := line[strings.LastIndex(line, ": ")+2:]
		verb, _, _ := strings.Cut(cure, " ")
		if !slices.Contains(cures, verb) {
			t.Errorf("%q: the cure begins with %q", line, verb)
		}
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("error %d: got %q, want %q", i, line, append(want, "none")[min(i, len(want))])
		}
	}
	if len(got) < len(want) {
		t.Errorf("got %d errors, want also %q", len(got), want[len(got):])
	}
}

func TestValidate(t *testing.T) {
	good := headers.Changes{
		Remove: []string{"X-Internal-*", "Server", "X.Y", "Cookie"},
		Set:    map[string]headers.Value{"Cache-Control": text("no-store"), "X-User": cel(`client.cert.subject`), "X-Text": text("grüße\tdich")},
		Add:    map[string]headers.Value{"Cache-Control": text("private"), "Link": text("<a>")},
	}
	wantFaults(t, headers.Options{Request: good, Response: good}.Validate())
	wantFaults(t, headers.Options{Response: headers.Changes{Remove: []string{"X-Request-Id", "X-Real-Ip"}}}.Validate())

	for _, name := range []string{
		"Connection", "content-length", "Transfer-Encoding", "TE", "Upgrade", "Keep-Alive", "Trailer", "Date", "X-Headgate-Retry",
		"X_Foo", ":path", "X Foo", "X-Föö", "", strings.Repeat("x", 300),
	} {
		c := headers.Changes{Remove: []string{name}, Set: map[string]headers.Value{name: text("1")}, Add: map[string]headers.Value{name: text("1")}}
		want := func(side string) []string {
			return []string{side + ".remove[0]: ", side + ".set." + name + ": ", side + ".add." + name + ": "}
		}
		wantFaults(t, headers.Options{Request: c, Response: c}.Validate(), append(want("request"), want("response")...)...)
	}
	for _, name := range []string{"Host", "X-Forwarded-For", "x-forwarded-anything", "Forwarded", "X-Real-IP", "X-Request-ID", "Proxy"} {
		c := headers.Changes{Remove: []string{name}, Set: map[string]headers.Value{name: text("1")}}
		wantFaults(t, headers.Options{Request: c}.Validate(), "request.remove[0]: "+name, "request.set."+name+": "+name)
	}
	c := headers.Changes{
		Remove: []string{"*", "X_*", "X-*-Y"},
		Set: map[string]headers.Value{
			"A": {}, "B": {Text: "x", CEL: "request.host"}, "C": text("a\r\nb"), "D": text(" a"), "E": text(strings.Repeat("x", 9000)), "X-*": text("1"), "b": text("1"),
		},
		Add: map[string]headers.Value{"A": cel("request.hots"), "B": cel("1 +"), "C": cel("1")},
	}
	wantFaults(t, headers.Options{Response: c}.Validate(),
		"response.remove[0]: * is every", "response.remove[1]: \"X_\" has an underscore", "response.remove[2]: \"X-*-Y\" has a *",
		"response.set.A: has no value", "response.set.B: has a text and an expression", "response.set.C: has a control", "response.set.D: begins or ends",
		"response.set.E: is longer", "response.set.X-*: ", "response.set.b: is the same as response.set.B",
		"response.add.A.cel: column", "response.add.B.cel: column", "response.add.C.cel: column")
	if _, err := headers.New(headers.Options{Response: c}, ""); err == nil {
		t.Error("New takes what Validate refuses")
	}
	_, err := headers.New(headers.Options{}, "paranoid")
	wantFaults(t, err, `security: "paranoid" is not known`)
}

func TestValidateCORS(t *testing.T) {
	some := []string{"https://app.example.com"}
	wantFaults(t, headers.CORS{}.Validate())
	wantFaults(t, headers.CORS{Origins: []string{}}.Validate())
	for _, origin := range []string{
		"https://app.example.com", "http://localhost:3000", "https://*.example.com", "https://*.example.com:8443", "http://*.localhost:3000", "https://[::1]:3000", "http://192.0.2.7",
		"capacitor://localhost", "chrome-extension://abcdef", "https://xn--bcher-kva.example", "*", "null", "https://a_b.example.com",
	} {
		wantFaults(t, headers.CORS{Origins: []string{origin}}.Validate())
	}
	for _, origin := range []string{
		"", "app.example.com", "https://", "https://app.example.com/", "https://app.example.com/path", "https://app.example.com:443", "http://a.com:80",
		"https://a.com:0", "https://a.com:070", "https://a.com:x", "https://a.com:99999", "HTTPS://a.com", "https://A.com", "https://*", "https://*.*.com", "https://*.com", "https://*.com:8443",
		"https://a.*.com", "https://a*.com", "https://.a.com", "https://a..com", "https://a.com.", "https://u:p@a.com", "https://bücher.example", "https://a.com?",
		"https://[::1", "https://[0:0::1]", "https://*.[::1]", "https://::1", "1https://a.com", "https://a b.com", "https://" + strings.Repeat("x", 600),
	} {
		wantFaults(t, headers.CORS{Origins: []string{origin}}.Validate(), "origins[0]: ")
	}
	wantFaults(t, headers.CORS{Credentials: true}.Validate(), "origins: are missing")
	wantFaults(t, headers.CORS{Origins: []string{"*"}, Credentials: true}.Validate(), `origins[0]: "*" is any`)
	wantFaults(t, headers.CORS{Origins: []string{"null"}, Credentials: true}.Validate(), "origins[0]: null")
	wantFaults(t, headers.CORS{Origins: []string{"*", "https://a.com"}}.Validate(), `origins: has "*"`)
	wantFaults(t, headers.CORS{
		Origins: some, Methods: []string{"PUT", "put", "*", "A B", "TRACE", ""}, Headers: []string{"X_Ok", "*", "a b"}, Expose: []string{"ETag", "", "*"},
		Credentials: true, MaxAge: time.Millisecond,
	}.Validate(),
		"methods[1]: ", "methods[2]: ", "methods[3]: ", "methods[4]: ", "methods[5]: ", "headers[1]: ", "headers[2]: ", "expose[1]: ", "expose[2]: ", "max_age: ")
	wantFaults(t, headers.CORS{Origins: some, Expose: []string{"*"}, MaxAge: -1}.Validate())
	if _, err := headers.NewCORS(headers.CORS{Credentials: true}); err == nil {
		t.Error("NewCORS takes what Validate refuses")
	}
	want := headers.CORS{Origins: some, Methods: []string{"PUT", "PATCH", "DELETE"}, MaxAge: 10 * time.Minute}
	if d := cmp.Diff(want, headers.CORS{Origins: some}.WithDefaults()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(headers.CORS{}, headers.CORS{}.WithDefaults()); d != "" {
		t.Error(d)
	}
}
