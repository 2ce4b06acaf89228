package gateway

import (
	"net/http"

	"headgate/gateway/wire"
)

// stick adds to the header of the answer the cookie by which the client's next
// requests go to the same member, if it does not have it. Its value is signed and
// says nothing of the member.
func (x *exchange) stick(a *answer) {
	value := a.lease.Cookie()
	if value == "" || x.pool == nil {
		return
	}
	c := http.Cookie{
		Name: x.pool.cookie, Value: value, Path: "/", HttpOnly: true,
		Secure: x.scheme == "https", SameSite: http.SameSiteLaxMode,
	}
	x.out.Add("Set-Cookie", c.String())
}

// cookie returns the value of a client's cookie, "" if it has none.
func cookie(f wire.Fields, name string) string {
	r := http.Request{Header: make(http.Header)}
	for line := range f.Values("Cookie") {
		r.Header.Add("Cookie", line)
	}
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}
