package expression_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"headgate/gateway/expression"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		// Names.
		{`request.hots == "a"`, `column 1: request.hots is not known (did you mean "request.host"?)`},
		{`request.headers["x"] == ""`, `column 1: request.headers is not known (did you mean "request.header"?)`},
		{`request.headers.accept == ""`, `column 1: request.headers is not known (did you mean "request.header"?)`},
		{`client.certs.subject == ""`, `column 1: client.certs.subject is not known (did you mean "client.cert.subject"?)`},
		{`client.cert.subjct == ""`, `column 1: client.cert.subjct is not known (did you mean "client.cert.subject"?)`},
		{`header["x"] == "1"`, `column 1: header is not known (did you mean "request.header"?)`},
		{`req.method == "GET"`, `column 1: req.method is not known (did you mean "request.method"?)`},
		{`request == "a"`, `column 1: request is not a value (write one of request.cookie, request.header, request.host, request.method, request.path, request.proto, request.query, request.scheme)`},
		{`client.cert == ""`, `column 1: client.cert is not a value (write one of client.cert.fingerprint, client.cert.issuer, client.cert.present, client.cert.serial, client.cert.subject)`},
		{`request.zzzzzz == ""`, `column 1: request.zzzzzz is not known (request has request.cookie, request.header, request.host, request.method, request.path, request.proto, request.query, request.scheme)`},
		{`true && method == "GET"`, `column 9: method is not known (did you mean "request.method"?)`},
		{`request.method == GET`, `column 19: GET is not known (a text stands in quotes: "GET")`},
		{`nwo > now`, `column 1: nwo is not known (did you mean "now"?)`},
		{`tls.sni == "a"`, `column 1: tls.sni is not known (tls has tls.alpn, tls.cipher, tls.server_name, tls.version)`},
		{`request.path.startWith("/a")`, `column 14: the function startWith is not known (did you mean "startsWith"?)`},
		{`request.path.zzzzzz("/a")`, `column 14: the function zzzzzz is not known`},
		{`lower(request.path) == ""`, `column 1: the function lower is not known (did you mean "lowerAscii"?)`},
		{`has(request.header.x)`, `column 1: has is not needed: what a request does not have is "" (to tell absent from empty write "name" in request.header)`},
		{`"%s".format([request.path]) == ""`, `column 6: format is not part of expressions (join texts with +, as in "a-" + request.host)`},
		{`request.header.exists(k)`, `column 16: exists takes the name of a variable and an expression (write request.query.exists(name, name.startsWith("a")))`},
		{`request.header.exists("k", true)`, `column 23: the first argument must be the name of a variable (write request.query.all(name, name.startsWith("a")))`},
		{`request.host.foo == ""`, `column 13: a string has no fields`},
		{`google.protobuf.Duration{} == duration("1s")`, `column 25: messages are not part of expressions (write a map, as in {"a": "b"})`},
		// Networks.
		{`client.ip in ["10.0.0/8"]`, `column 15: "10.0.0/8" is not a network (write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7)`},
		{`client.ip in ["10.0.0.0/8", "fe80::1%eth0"]`, `column 29: "fe80::1%eth0" is not a network (write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7)`},
		{`client.ip in [10]`, `column 15: a network is a text in quotes (write client.ip in ["10.0.0.0/8", "::1"])`},
		{`client.ip in [request.host]`, `column 15: a network must be written out (write client.ip in ["10.0.0.0/8", "::1"])`},
		{`client.ip in request.header`, `column 14: the networks of client.ip in must be a list (write client.ip in ["10.0.0.0/8", "::1"])`},
		{`client.ip in "10.0.0.0/8"`, `column 14: the networks of client.ip in must be a list (write client.ip in ["10.0.0.0/8", "::1"])`},
		{`client.ip == "10.0.0.1"`, `column 11: == does not take address and string (write client.ip in ["10.0.0.1"], or string(client.ip))`},
		// Patterns.
		{`request.path.matches("[")`, "column 22: \"[\" is not a regular expression: missing closing ]: `[` (the syntax is RE2; a backslash is written \\\\, or r\"\\d\" with an r before the quotes)"},
		{`request.path.matches(request.host)`, `column 22: the pattern of matches must be written out (as in request.path.matches("^/u/[0-9]+$"))`},
		{`request.path.matches(1)`, `column 22: the pattern of matches is a text in quotes (as in request.path.matches("^/u/[0-9]+$"))`},
		{`request.path.matches()`, `column 21: matches of a string does not take ()`},
		{`matches("a")`, `column 8: matches does not take (string)`},
		{`request.path.matches("(a{100}b{100}){9}")`, `column 22: the pattern has 1820 instructions, and at most 1000 are run (repeat less, as in {1,100})`},
		{`request.path.matches("(a{500}){500}")`, "column 22: \"(a{500}){500}\" is not a regular expression: invalid repeat count: `{500}` (the syntax is RE2; a backslash is written \\\\, or r\"\\d\" with an r before the quotes)"},
		// Types.
		{`request.method`, `column 1: the expression gives a string, and bool is wanted (compare it, as in request.method == "GET")`},
		{`request.header`, `column 1: the expression gives a map(string, string), and bool is wanted (compare it, as in request.method == "GET")`},
		{`[1, "a"][0]`, `column 1: the expression gives a value of any type, and bool is wanted (compare it, as in request.method == "GET")`},
		{`request.method && true`, `column 1: bool is wanted here, and this is a string (compare it, as in request.method == "GET")`},
		{`!request.method`, `column 1: ! does not take a string (compare it, as in request.method == "GET")`},
		{`request.method == 1`, `column 16: == does not take string and int (write the number in quotes, or int(...) around the text)`},
		{`request.method + 1 == ""`, `column 16: + does not take string and int (write string(...) around what is no text)`},
		{`request.host < 1.5`, `column 14: < does not take string and double (both sides must have one type)`},
		{`"a" in request.method`, `column 5: in does not take string and string (write a list, as in ["a", "b"]; for a part of a text write text.contains(part))`},
		{`1 in ["a"]`, `column 3: in does not take int and list(string) (write a list of one type, or a map, after in)`},
		{`request.header[1] == ""`, `column 15: [] does not take map(string, string) and int (a name stands in quotes, as in request.header["x-user"])`},
		{`true ? "a" : 1`, `column 6: the two results of ?: are string and int (give both one type)`},
		{`request.path.startsWith(1)`, `column 24: startsWith of a string does not take (int)`},
		{`size(client.ip) == 1`, `column 5: size does not take (address)`},
		{`-request.host == ""`, `column 1: - does not take a string`},
		{`99999999999999999999 == 1`, `column 1: this is not a number of the type int`},
		// Syntax.
		{``, `column 1: the expression is empty (write one, such as request.method == "GET")`},
		{" \n", `column 1: the expression is empty (write one, such as request.method == "GET")`},
		{`request.method = "GET"`, `column 16: = is not an operator (== compares)`},
		{`request.method == "a" and true`, `column 23: unexpected "and" (write && for and)`},
		{`not true`, `column 5: unexpected "true" (write ! for not)`},
		{`true & false`, `column 6: & is not an operator (write && for and)`},
		{`request.method == "GET`, `column 19: a text has no end (write the closing quote on the same line)`},
		{`request.method == 'it's'`, `column 23: unexpected "s"`},
		{`request.method == “GET”`, `column 19: “ is not a quote (write ")`},
		{`request.path.matches("\d")`, `column 22: a text has a backslash that means nothing (a backslash is written \\, or r"\d" with an r before the quotes)`},
		{`request.method ==`, `column 18: the expression ends too early`},
		{`(request.method == "a"`, `column 23: a ) is missing at the end`},
		{`request.method == "a")`, `column 22: unexpected ")"`},
		{`request.header["a" == ""`, `column 25: a ] is missing at the end`},
		{"request.method == \"a\" &&\n  request.hots == \"b\"", `line 2, column 3: request.hots is not known (did you mean "request.host"?)`},
		{`request.method == "a"; true`, `column 22: unexpected ";"`},
		{"\xff", `column 1: the expression is not UTF-8`},
		{strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100), `column 1: the expression is nested too deeply (make two routes of it)`},
		{strings.Repeat("!", 9000) + "true", `column 1: the expression has 9004 bytes, and at most 8192 are read`},
		// Growth.
		{`request.path.replace("a", request.path) == ""`, `column 1: this may grow to a text of more than 4 MiB (join fewer texts, or replace with a shorter one)`},
		{`request.path.replace("", "` + strings.Repeat("x", 100) + `") == ""`, `column 1: this may grow to a text of more than 4 MiB (join fewer texts, or replace with a shorter one)`},
	} {
		_, err := expression.Compile(c.source, expression.Bool)
		checkWords(t, c.source, err, c.want)
	}
}

func TestWordsOfStrings(t *testing.T) {
	for source, want := range map[string]string{
		`client.ip`:               `column 1: the expression gives an address, and string is wanted (write string(client.ip))`,
		`size(request.path)`:      `column 1: the expression gives an int, and string is wanted (write string(size(request.path)))`,
		`now`:                     `column 1: the expression gives a timestamp, and string is wanted (write string(now))`,
		`request.header`:          `column 1: the expression gives a map(string, string), and string is wanted (take one of it, as in request.header["x-user"])`,
		`request.path.split("/")`: `column 1: the expression gives a list(string), and string is wanted`,
		`true`:                    `column 1: the expression gives a bool, and string is wanted (write string(true))`,
		``:                        `column 1: the expression is empty (write one, such as request.header["x-user"])`,
	} {
		_, err := expression.Compile(source, expression.String)
		checkWords(t, source, err, want)
	}
}

// dull matches what the library says in words that are not ours.
var dull = regexp.MustCompile(`container|overload|undeclared|reference to|EOF|_[=&|!]|Syntax|@|\.$|\n`)

func checkWords(t *testing.T, source string, err error, want string) {
	t.Helper()
	var e *expression.Error
	if !errors.As(err, &e) {
		t.Errorf("%.80q: got %v, want an *Error", source, err)
		return
	}
	if e.Error() != want || dull.MatchString(e.Error()) {
		t.Errorf("%.80q:\n got %s\nwant %s", source, e, want)
	}
}
