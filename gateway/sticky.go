package gateway

import "net/http"

// stick tells the client, by a cookie, to which member its next requests go. Its
// value is signed and says nothing of the member.
func (x *exchange) stick(value string) {
	pass, ok := x.route.action.(*passTo)
	if !ok {
		return
	}
	c := http.Cookie{
		Name: pass.pool.cookie, Value: value, Path: "/", HttpOnly: true,
		Secure: x.scheme == "https", SameSite: http.SameSiteLaxMode,
	}
	h := x.Header()
	h["Set-Cookie"] = append(h["Set-Cookie"][:len(h["Set-Cookie"]):len(h["Set-Cookie"])], c.String())
}
