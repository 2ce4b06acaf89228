package routing_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"headgate/routing"
)

const groups = "~^/old/([^/]*)/?(?P<name>.*)$"

// input is a request that took a route of the path pattern.
func input(t testing.TB, pattern, path, query string) routing.Input {
	t.Helper()
	uri := encode(path)
	if query != "" {
		uri += "?" + query
	}
	table := newTable(t, site{Routes: []route{{Path: pattern}}})
	return routing.Input{Captures: table.Lookup(routing.Request{Path: path}, nil).Captures(), Host: "shop.example.com", Path: path, Query: query, URI: uri}
}

func template(t testing.TB, text, pattern string) *routing.Template {
	t.Helper()
	made, err := routing.ParseTemplate(text, pattern)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestLocation(t *testing.T) {
	for _, c := range []struct{ text, path, query, want string }{
		// texts
		{"/new", "/old/a", "", "/new"},
		{"", "/old/a", "", "/"},
		{"/$$1/$$$$", "/old/a", "", "/$1/$$"},
		{"/é x", "/old/a", "", "/%C3%A9%20x"},
		{"/a%20b", "/old/a", "", "/a%20b"},
		// what the request brings
		{"/$1/$2", "/old/a/b/c", "", "/a/b/c"},
		{"/$1$name.html", "/old/a/b", "", "/ab.html"},
		{"/${name}s", "/old/a/b", "", "/bs"},
		{"/$name", "/old/a", "", "/"},
		{"/$1", "/old/a b%?#é\\\r\n\xff;=&+", "", "/a%20b%25%3F%23%C3%A9%5C%0D%0A%FF;=&+"},
		{"/x$path", "/old/a?b", "", "/x/old/a%3Fb"},
		{"$path.html", "/old/a", "", "/old/a.html"},
		{"$1", "/old/a", "", "/a"},
		{"$uri", "/old/a b", "x=%2f", "/old/a%20b?x=%2f"},
		{"https://$host$uri", "/old/a", "x=1", "https://shop.example.com/old/a?x=1"},
		{"https://$host:8443$path", "/old/a", "x=1", "https://shop.example.com:8443/old/a?x=1"},
		// the query is kept, unless the template speaks of one
		{"/new", "/old/a", "x=1&y=%26", "/new?x=1&y=%26"},
		{"/new#top", "/old/a", "x=1", "/new?x=1#top"},
		{"/new#top", "/old/a", "", "/new#top"},
		{"/new?", "/old/a", "x=1", "/new?"},
		{"/new?a=b", "/old/a", "x=1", "/new?a=b"},
		{"/new?a=b&$query", "/old/a", "x=1", "/new?a=b&x=1"},
		{"/new?a=b&$query", "/old/a", "", "/new?a=b"},
		{"/new?$query", "/old/a", "", "/new"},
		{"/new?$query#x", "/old/a", "x=1", "/new?x=1#x"},
		{"/new?q=$query", "/old/a", "x=1&y=2", "/new?q=x%3D1%26y%3D2"},
		{"/login?next=$uri", "/old/a", "x=1&y=2", "/login?next=/old/a%3Fx%3D1%26y%3D2"},
		{"/find?name=$1&host=$host", "/old/a&b=c+d#e;f", "", "/find?name=a%26b%3Dc%2Bd%23e%3Bf&host=shop.example.com"},
		{"/new#$1", "/old/a#b", "x=1", "/new?x=1#a%23b"},
		{"/new?$query", "/old/a", "x=\"<>|\\^`{}\r\n é", "/new?x=%22%3C%3E%7C%5C%5E%60%7B%7D%0D%0A%20%C3%A9"},
		// another host only by the template
		{"/$name", "/old/a/evil.example", "", "/evil.example"},
		{"/$1/$name", "/old//evil.example", "", "/evil.example"},
		{"$uri", "//evil.example", "", "/evil.example"},
		{"https://x.example$name", "/old/a/b", "", "https://x.example/b"},
		{"https://x.example$path", "/old/a", "", "https://x.example/old/a"},
		{"https://x.example$name", "/old/a/.evil.example", "", "https://x.example/.evil.example"},
		{"https://x.example$name/y", "/old/a/@evil.example", "", "https://x.example/@evil.example/y"},
		{"https://$1.x.example/$name", "/old/evil.example?:@#\\/b", "", "https://evil.example%3F%3A%40%23%5C.x.example/b"},
		{"https://$1.$host/", "/old/a", "", "https://a.shop.example.com/"},
		{"https://shop-$1-eu.x.example", "/old/a", "x=1", "https://shop-a-eu.x.example?x=1"},
		{"//cdn.x.example$path", "/old/a", "", "//cdn.x.example/old/a"},
		{"myapp:open/$1", "/old/a", "", "myapp:open/a"},
	} {
		in := input(t, groups, c.path, c.query)
		if c.path == "//evil.example" {
			in.URI = c.path
		}
		if got := template(t, c.text, groups).Location(in); got != c.want {
			t.Errorf("%q of %q and %q: got %q, want %q", c.text, c.path, c.query, got, c.want)
		}
	}
}

func TestTemplateAsPath(t *testing.T) {
	for _, c := range []struct {
		text, path, want string
		err              error
	}{
		{"/index.php$path", "/old/a", "/index.php/old/a", nil},
		{"/$1/$name", "/old/a/b?%20", "/a/b?%20", nil},
		{"$name", "/old/a/b", "/b", nil},
		{"", "/old/a", "/", nil},
		{"/x/$name/", "/old/a", "/x/", nil},
		{"/x//./$1", "/old/a", "/x/a", nil},
		{"/x/.$1/y", "/old/.", "", routing.ErrPathDots},
		{"/x/$1$1", "/old/.", "", routing.ErrPathDots},
		{"/x/$1", "/old/..", "", routing.ErrPathDots}, // a path that is not canonical
		{"/x/$1", "/old/a\x00", "", routing.ErrPathNUL},
		{"/x/$1.", "/old/.a", "/x/.a.", nil},
	} {
		got, err := template(t, c.text, groups).Path(input(t, groups, c.path, ""))
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q of %q: got %q, %v, want %q, %v", c.text, c.path, got, err, c.want, c.err)
		}
	}
}

func TestTemplateAsQuery(t *testing.T) {
	for _, c := range []struct{ text, path, query, want string }{
		{"id=$1&name=$name", "/old/a&b/c=d", "", "id=a%26b&name=c%3Dd"},
		{"p=$path&$query", "/old/a b", "x=1|é", "p=/old/a%20b&x=1|é"},
		{"p=$1&$query", "/old/a", "", "p=a"},
		{"$query", "/old/a", "x=\r\n #", "x=%0D%0A%20%23"},
		{"$query", "/old/a", "", ""},
		{"q=$query", "/old/a", "x=1&y", "q=x%3D1%26y"},
		{"u=$uri", "/old/a", "x=1&y", "u=/old/a%3Fx%3D1%26y"},
		{"", "/old/a", "x=1", ""},
	} {
		if got := template(t, c.text, groups).QueryText(input(t, groups, c.path, c.query)); got != c.want {
			t.Errorf("%q of %q and %q: got %q, want %q", c.text, c.path, c.query, got, c.want)
		}
	}
}

func TestMistakesOfTemplates(t *testing.T) {
	const (
		choose = "the client would choose the host of the URL: write the host, or a domain such as .example.com behind what was captured"
		stands = "what was captured stands in the host of the URL: write a domain such as .example.com behind it, or put it behind a /"
	)
	for _, c := range []struct{ text, pattern, want string }{
		{"/$1$9", "~(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)", ""},
		{"/$3", groups, "$3 is not a group of the path, whose last is $2: write $2"},
		{"/$1", "~^/old", "$1 needs a group, and the regular expression of the path has none: put parentheses around what is meant"},
		{"/$1", "/old", "$1 needs a path that captures something: write the path of the route like ~^/old/(.*)$"},
		{"/$1", "", "$1 needs a path that captures something: write the path of the route like ~^/old/(.*)$"},
		{"/$0", groups, "$0 is no group: write $path for the whole path"},
		{"/${12}", groups, "${12} is no group: write $1 to $9, or name the group"},
		{"/$nmae", groups, "$nmae is not known: write $name"},
		{"/$Host", groups, "$Host is not known: write $host"},
		{"/$hosts", groups, "$hosts is not known: write ${host}s if you mean $host"},
		{"/$pathology", groups, "$pathology is not known: write ${path}ology if you mean $path"},
		{"/$request_uri", groups, "$request_uri is not known: write one of $host, $name, $path, $query, $uri, or $$ for a plain $"},
		{"/$path", "~^/(?P<path>.*)", "$path is that of the request, and the regular expression of the path has a group of this name: name the group otherwise"},
		{"/5$", groups, "a $ begins no name: write $$ for a plain $"},
		{"/$-", groups, "a $ begins no name: write $$ for a plain $"},
		{"/${}", groups, "a $ begins no name: write $$ for a plain $"},
		{"/${name", groups, "the brace of ${name is not closed: write ${name}"},
		{"/x", "~(", "\"(\" is no regular expression of RE2: error parsing regexp: missing closing ): `(`"},
		{"/" + strings.Repeat("a", 4096), "", "it is longer than 4096 bytes: write a shorter one"},
		{"https://$1/", groups, choose},
		{"https://$1", groups, choose},
		{"//$1/x", groups, choose},
		{"https://$path", groups, choose},
		{"https://$1example.com", groups, choose},
		{"https://$1$host/", groups, choose},
		{"https://$1.$2/", groups, choose},
		{"https://$1:8443/", groups, choose},
		{"https://$1.com/", groups, choose}, // everybody can have a name below it
		{"https://$1.com:8443", groups, choose},
		{"https://$1-x.com", groups, choose},
		{"https://shop-$1.com", groups, stands},
		{"https://$1.com./", groups, choose},
		{"https://$1..com/", groups, choose},
		{"https://$1.localhost:8443/", groups, ""},
		{"https://$1.internal/", groups, ""},
		{"https://$1.example.com/", groups, ""},
		{"https://shop-$1-eu/", groups, stands},
		{"https://user:$1@x.example/", groups, stands},
		{"https://x.example$query", groups, "$query stands in the host of the URL: put a ? before it"},
		{"https:$path", groups, "the URL has no // behind https: write https://"},
		{"HTTP:/$1", groups, "the URL has no // behind HTTP: write http://"},
		{"https:///$1", groups, "the URL has no host: write one behind the //"},
		{"///$1", groups, "the URL has no host: write one behind the //"},
	} {
		got := ""
		if err := routing.CheckTemplate(c.text, c.pattern); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%.40q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestCheckPathTemplate(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"/a/$1", ""},
		{"$path/", ""},
		{"/$$", ""},
		{"/a/.$1", ""},
		{"/50%", ""},
		{"", `"" does not begin with a slash: write "/"`},
		{"a", `"a" does not begin with a slash: write "/a"`},
		{"$$a", `"$$a" does not begin with a slash: write "/$$a"`},
		{"https://x.example/", `"https://x.example/" does not begin with a slash: write "/https://x.example/"`},
		{"/a?b=$1", "a ? is a plain byte in a path: put what follows it into the query"},
		{"/a$query", "a path has no query: put $query into the query, and write $path for the path"},
		{"$uri", "a path has no query: put $query into the query, and write $path for the path"},
		{"/a/../$1", `"/a/../$1" has a segment "..", which leads elsewhere: leave it out`},
		{"/a/./b", `"/a/./b" has a segment ".", which leads elsewhere: leave it out`},
		{"/a%20b", `"/a%20b" is taken as a decoded path: write "/a b"`},
		{"/$nmae", "$nmae is not known: write $name"},
	} {
		got := ""
		if err := routing.CheckPathTemplate(c.text, groups); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

// TestLocationStaysWhereItIs: whatever a client sends, a template leads to the host
// that it names, and brings no line break and no further value of a query.
func TestLocationStaysWhereItIs(t *testing.T) {
	const any = "~(?s)^(.?)(.*?)(?P<name>.?)(.*)$"
	hosts := map[string]string{ // of templates; "": that of the request
		"/$1$2$3$4": "", "$1$2/$3$4": "", "$path": "", "$uri": "", "/$2/$4?a=$3": "", "$4": "", "/$query": "", "$1?$query": "", "/$1#$4": "", "/a?b=$uri#$query": "", "$2$uri": "",
		"https://x.example$4": "x.example", "https://x.example$1$2$3$4": "x.example", "https://x.example$uri": "x.example", "//x.example$4/": "x.example", "https://x.example:1$2": "x.example",
		"https://x.example?$query": "x.example", "https://x.example?b=$4": "x.example", "https://x.example/$2$4": "x.example", "https://x.example#$4": "x.example", "https://$host$4": "shop.example.com",
	}
	made := map[string]*routing.Template{}
	for text := range hosts {
		made[text] = template(t, text, any)
	}
	values := template(t, "/x?a=$path&b=$uri&c=$query", any)
	texts := rapid.SampledFrom([]string{"/", "/", "//", `\`, ".", "..", "evil.example", "@", ":", "?", "#", "&", "=", "\r\n", "\t", "%", "é", "\xff", "a", " ", "https://", "\x00"})
	words := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(texts, 0, 6).Draw(t, "texts"), "") })
	rapid.Check(t, func(rt *rapid.T) {
		path, query := "/"+words.Draw(rt, "path"), words.Draw(rt, "query")
		in := input(t, any, path, query)
		in.URI = path + "?" + query
		for text, host := range hosts {
			got := made[text].Location(in)
			if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
				rt.Fatalf("%q of %q: got %q, which no Location has", text, path, got)
			}
			base := &url.URL{Scheme: "https", Host: "base.example", Path: "/"}
			u, err := base.Parse(strings.ReplaceAll(got, "%", "%25")) // what is sent raw may hold a lone %
			if err != nil {
				rt.Fatalf("%q of %q: got %q: %v", text, path, got, err)
			}
			if want := map[bool]string{true: "base.example", false: host}[host == ""]; u.Hostname() != want || u.User != nil {
				rt.Fatalf("%q of %q: got %q, which leads to %q, want %q", text, path, got, u.Host, want)
			}
		}
		u, err := url.Parse(values.Location(in))
		if err != nil {
			rt.Fatal(err)
		}
		if q := u.Query(); q.Get("a") != path || q.Get("b") != in.URI || q.Get("c") != query || len(q) != 3 {
			rt.Fatalf("%q and %q: the values are %q", path, query, q)
		}
	})
}

// FuzzTemplate: no template brings a line break, and the path it makes is one that
// a client could have sent.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{"/new/$1?next=$uri#$2", "https://$1.example.com$path", "${name}s", "https://shop-$1-eu.x.example:8443?$query", "//x$1$query", "$$1 $host"} {
		f.Add(text, "/old/a/b", "x=1")
	}
	f.Fuzz(func(t *testing.T, text, raw, query string) {
		made, err := routing.ParseTemplate(text, groups)
		path, errPath := routing.CanonicalPath(raw)
		if err != nil || errPath != nil {
			return
		}
		in := input(t, groups, path, query)
		if got := made.Location(in); strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("%q of %q and %q: got %q, which no field has", text, raw, query, got)
		}
		if got := made.QueryText(routing.Input{Captures: in.Captures, Path: path, Query: query, URI: in.URI}); strings.ContainsAny(got, "\r\n\x00 #") && !strings.ContainsAny(text, "\r\n\x00 #") {
			t.Fatalf("%q of %q and %q: the query is %q", text, raw, query, got)
		}
		clean, err := made.Path(in)
		if err != nil {
			return
		}
		if again, err := routing.CanonicalPath(encode(clean)); again != clean || err != nil {
			t.Fatalf("%q of %q: the path %q is %q when it is sent, %v", text, raw, clean, again, err)
		}
	})
}

func BenchmarkLocation(b *testing.B) {
	made := template(b, "https://www.example.com/new/$1/$name", groups)
	in := input(b, groups, "/old/shoes/red/42", "page=2")
	b.ReportAllocs()
	for b.Loop() {
		made.Location(in)
	}
}
