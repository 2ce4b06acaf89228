package expression

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// fields are the named texts of one kind in a request.
type fields interface {
	// find returns the text of a name and whether there is one.
	find(name string) (string, bool)
	// names returns each name once, at most maxNames+1 of them.
	names() []string
}

// headers are the fields of the request's head.
type headers View

func (h *headers) find(name string) (string, bool) {
	values, ok := h.Header[name] // the compiler writes constants in canonical form
	if !ok {
		name = http.CanonicalHeaderKey(name)
		values, ok = h.Header[name]
	}
	switch {
	case !ok && name == "Host":
		return h.Host, h.Host != ""
	case len(values) == 1:
		return values[0], true
	}
	return strings.Join(values, ", "), len(values) > 0
}

func (h *headers) names() []string {
	list := make([]string, 0, min(len(h.Header)+1, maxNames+2))
	for name := range maps.Keys(h.Header) {
		if len(list) > maxNames {
			return list
		}
		list = append(list, strings.ToLower(name))
	}
	if h.Host != "" && !slices.Contains(list, "host") {
		list = append(list, "host")
	}
	slices.Sort(list)
	return list
}

// parameters are the fields of the query.
type parameters View

// find parses as far as it must. Like net/url it leaves out what has a semicolon
// or does not decode.
func (q *parameters) find(name string) (string, bool) {
	for rest := q.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		if k, ok := decode(pair, key); !ok || pair == "" || k != name {
			continue
		}
		if v, ok := decode(pair, value); ok {
			return v, true
		}
	}
	return "", false
}

func (q *parameters) names() []string {
	var list []string
	for rest := q.RawQuery; rest != "" && len(list) <= maxNames; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		k, ok := decode(pair, key)
		if _, valid := decode(pair, value); ok && valid && pair != "" && !slices.Contains(list, k) {
			list = append(list, k)
		}
	}
	return list
}

// decode decodes s, a part of pair.
func decode(pair, s string) (string, bool) {
	if strings.IndexByte(pair, ';') >= 0 {
		return "", false
	}
	s, err := url.QueryUnescape(s) // allocates only when there is something to decode
	return s, err == nil
}

// cookies are the cookies that the client has sent (RFC 6265, 4.2).
type cookies View

func (c *cookies) find(name string) (string, bool) {
	for _, line := range c.Header["Cookie"] {
		for rest := line; rest != ""; {
			var key, value string
			key, value, rest = cutCookie(rest)
			if key == name && key != "" {
				return value, true
			}
		}
	}
	return "", false
}

func (c *cookies) names() []string {
	var list []string
	for _, line := range c.Header["Cookie"] {
		for rest := line; rest != "" && len(list) <= maxNames; {
			var key string
			key, _, rest = cutCookie(rest)
			if key != "" && !slices.Contains(list, key) {
				list = append(list, key)
			}
		}
	}
	return list
}

// cutCookie returns the first cookie of line and what follows it. A value in
// quotes loses them, as in net/http.
func cutCookie(line string) (name, value, rest string) {
	pair, rest, _ := strings.Cut(line, ";")
	name, value, ok := strings.Cut(strings.Trim(pair, " \t\r\n"), "=")
	if !ok {
		return "", "", rest
	}
	name = strings.Trim(name, " \t\r\n")
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return name, value, rest
}
