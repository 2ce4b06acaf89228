// Package headers changes the fields of requests on their way to the app and of
// answers on their way to the client: what the operator sets, adds and removes, the
// fields that make browsers careful, and what the CORS protocol says of answers.
//
//	set, err := headers.New(o, headers.SecurityStrict)
//	set.Request(&f, view)           // of a request that goes to the app
//	set.Response(secure, &f, view)  // of an answer that goes to the client
//
//	policy, err := headers.NewCORS(cors)
//	if f, ok := policy.Preflight(r); ok {
//		answer(204, f)
//	}
//	policy.Response(r, &f)
//
// # Presets
//
// What the app or the operator has said counts more than a preset: a field of a
// preset is only written where an answer has none of that name. One that remove or
// set names is the operator's alone, so remove: [X-Frame-Options] leaves it out of
// a preset.
//
//	| field                      | basic                           | strict                                                  |
//	|----------------------------|---------------------------------|---------------------------------------------------------|
//	| X-Content-Type-Options     | nosniff                         | nosniff                                                 |
//	| Referrer-Policy            | strict-origin-when-cross-origin | strict-origin-when-cross-origin                         |
//	| X-Frame-Options            | SAMEORIGIN                      | DENY                                                    |
//	| Strict-Transport-Security  |                                 | max-age=63072000; includeSubDomains (over https only)   |
//	| Permissions-Policy         |                                 | none of camera, microphone, geolocation, payment, usb,  |
//	|                            |                                 | midi, display-capture, accelerometer, gyroscope,        |
//	|                            |                                 | magnetometer                                            |
//	| Cross-Origin-Opener-Policy |                                 | same-origin                                             |
//	| Server, X-Powered-By       |                                 | those of the app are taken out                          |
//
// # What is not for operators
//
// Fields that frame a message or belong to one connection (RFC 9110, 7.6.1; 9112,
// 6), Date, names with an underscore, which a WSGI app cannot tell from a hyphen,
// X-Headgate-*, and in requests what only the gateway says of them: Host,
// X-Forwarded-*, Forwarded, X-Real-Ip, X-Request-Id, Proxy. A remove that ends in *
// passes by them, and by Content-Encoding and Content-Range, without which a body is
// read as what it is not. What a client writes with an underscore goes with what is removed
// or set: an app that gets X-User from here does not get X_User from a client.
//
// # CORS
//
// A preflight is answered with 204 whatever it asks for (WHATWG Fetch, 4.8): where
// the origin may not, without any field that allows something, so that the browser
// refuses; where the origin may and the method or a field may not, with what may, so
// that the browser can say which of them it was. Fields that a preflight asks for
// and that are allowed all (no list) are echoed: at most 64 names in 4 KiB.
//
// The Access-Control-* fields of the app are taken out of every answer: the policy
// is in one place. Where only some origins may, every answer says Vary: Origin; where
// all may, none does, because all get the same.
//
// An origin is compared as browsers write it (RFC 6454, 6.2): in lower case, without
// a port where that is the usual one. The * of https://*.example.com stands for one
// or more labels, and not for none: example.com is not among them; https://*.com,
// which is everybody, is a mistake. null, which any
// page can be, is only allowed where it is listed.
package headers
