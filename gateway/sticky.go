package gateway

import "net/http"

// stick adds to the header of an answer the cookie by which the client's next
// requests go to the same member, if it does not have it. Its value is signed and
// says nothing of the member.
func (x *exchange) stick(a *answer, h http.Header) {
	value := a.lease.Cookie()
	pass, ok := x.route.action.(*passTo)
	if value == "" || !ok {
		return
	}
	c := http.Cookie{
		Name: pass.pool.cookie, Value: value, Path: "/", HttpOnly: true,
		Secure: x.scheme == "https", SameSite: http.SameSiteLaxMode,
	}
	h["Set-Cookie"] = append(h["Set-Cookie"][:len(h["Set-Cookie"]):len(h["Set-Cookie"])], c.String())
}
