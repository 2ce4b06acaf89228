// Package gateway is the running server: it binds addresses, speaks HTTP/1.1,
// HTTP/2 and HTTP/3 on them, and takes every request through one handler to the
// route that answers, mostly a pool of WSGI workers.
//
//	gw := gateway.New(gateway.Setup{Load: load, Log: log})
//	err := gw.Run(ctx)             // serves until ctx ends, then drains
//	generation, err := gw.Reload(ctx) // from another goroutine
//	snapshot := gw.Snapshot()
//
// The way of a request: door.ServeHTTP takes the generation of the moment;
// exchange.enter decides limits, target, client, host and route; the route's
// action answers: passTo takes the body (body.go), sends the request to a member
// (proxy.go) and delivers the answer (deliver.go). Errors become statuses and
// pages in one place (respond.go).
//
// The way of a reload: everything of a generation is built first, then swapped
// (reload.go). Doors, their connections and the counters outlive generations.
//
// Certificates: answers to http-01 are given on plain listeners before anything
// else is decided (challenge.go). A connection serves hosts of one policy on client
// certificates; what a site requires, no proxy can vouch for (clientauth.go), and
// what a client has shown is not good for rules made later. SSL_CLIENT_* variables
// reach uWSGI; gunicorn drops all that are not HTTP_*. Permission for names that no
// site lists is asked of a URL, or of an app behind this gateway by GET over the
// pool's own queue, with HTTP_X_HEADGATE_ASK, which no client can send, and with a
// host that the app knows: the first that a site lists which passes to the pool, or
// else the asked name (ask.go, askpool.go).
//
// Limits: HTTP/1.1 and HTTP/2 are spoken by gateway/h1 and gateway/h2, HTTP/3 by quic-go. A
// reason phrase of the worker's is not passed on; an absolute-form target wins
// over a Host field that differs (RFC 9112, 3.2.2) where other disagreements are
// refused; there is no extended CONNECT.
package gateway
