// Package admin is how operators and monitoring talk to a running gateway: a JSON
// API on a Unix socket, the client of it, and Prometheus metrics with health on
// an address of their own. It is the only package that imports Prometheus.
//
//	ln, err := admin.ListenSocket("/run/headgate/admin.sock")
//	go admin.NewAPI(gateway, log).Serve(ctx, ln)
//	ln, err = admin.ListenMetrics("127.0.0.1:9145")
//	go admin.NewMetrics(gateway.Snapshot, nil, log).Serve(ctx, ln)
//
// The API has `GET /v1/status`, `POST /v1/reload`, and for certificates
// `POST /v1/certificates/renew?name=NAME` and `.../revoke?name=NAME&reason=WORD`,
// which answer when all is done. For pools it has `POST /v1/pools/POOL/drain` and
// `.../undrain` with `?member=ADDRESS`, `.../pause?for=5m` and `.../resume`, which
// answer at once, with how many requests are in flight. `POST /v1/workers/reload`
// with `?pool=NAME`, or without for all, answers when new workers serve and the old
// ones have ended. Every error is {"error": "..."}; for an unknown pool or member with
// the "known" ones. Metrics has /metrics, /healthz and /readyz.
//
// Limits: whoever can open the socket controls the gateway, so that only its
// owner can. Metrics have no password: give them an address that only monitoring
// reaches. Labels are names from the configuration, never what a client sent.
package admin
