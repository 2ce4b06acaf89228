// Package origin speaks HTTP to the servers behind a gateway: HTTP/1.1 with
// keep-alive, or HTTP/2 without TLS by prior knowledge (RFC 9112, RFC 9113), as
// uvicorn, hypercorn, gunicorn and uWSGI's http-socket do.
//
//	t, err := origin.NewTransport("unix", "/run/app.sock", origin.Options{})
//	resp, err := t.Do(ctx, &origin.Request{
//		Method: "GET", Scheme: "http", Host: "localhost", URI: "/",
//		Header: origin.HeaderFields(header),
//	})
//	defer resp.Body.Close()
//
// A [Transport] speaks to one member. It stands on the connections of package
// net/http, and decides itself which of them a request gets, when one is used
// again, and what a failure proves: kinds, causes and cures are those of the
// transport for uwsgi.
//
// # What a member is told
//
// The request target is passed on byte by byte, the header as it came, without
// the fields of the hop before, without Proxy, and without names that have
// another byte than letters, digits and "-": a server that makes variables of
// them could not tell X-Real-Ip from X_Real_Ip. Cookie is one field, and of
// Content-Type only the first counts. Nothing is added that the caller did not
// say, no User-Agent and no Accept-Encoding.
//
// # When a connection is used again
//
// A connection without a request is kept for 1.5 s: gunicorn closes its side
// after 2 s and uvicorn after 5 s, and a request must not meet that. One that
// does is told from one that ran by what the kernel knows, see Error.NeverRan;
// where that is not known, only what is idempotent is sent again. A request whose
// body cannot be rewound always has a new connection. So has one that has a body
// and is not idempotent, unless no local port is left: then it goes on a
// connection that was in use 100 ms ago. After HEAD an HTTP/1.1 connection is closed: many
// apps answer it with a body, which would be taken for the next answer.
//
// # Limits
//
// A response's head has at most 64 KiB and 512 fields, and 16 interim ones go
// before it. Trailers are dropped. HTTP/2 members are not asked to switch
// protocols (no WebSockets). At most 256 idle connections are kept, or 16 of
// HTTP/2 in all. Requests are never pipelined.
package origin
