// Command benchtool is what deploy/bench loads front ends with, where wrk and
// h2load cannot: a developer's tool, which no image holds.
//
//	benchtool backend    [--threads N] [--http] SOCKET...
//	benchtool h3         [--connections C] [--streams M] [--duration D] URL
//	benchtool rate       [--proto h1|h2] [--rate R] [--connections C] [--duration D] URL
//	benchtool idle       [--proto h1|h2] [--connections N] URL
//	benchtool handshake  [--clients C] [--tls 1.3|1.2|none] [--resume] [--duration D] URL
//
// backend is a worker that costs next to nothing: it speaks uwsgi (with --http,
// HTTP/1.1 with keep-alive) on unix sockets, and answers any request with 1 KiB,
// /bytes/N with N bytes, after it has read the whole body.
//
// h3 sends requests over HTTP/3 as fast as they are answered, h2load's way.
//
// rate sends requests at fixed times, whatever has become of those before, on
// connections that take turns. How long a request takes is counted from when it
// was due, so that a front end that stalls cannot hide it (no coordinated
// omission). How late requests were sent tells what the generator itself adds.
//
// idle opens connections with one request each, and holds them.
//
// handshake opens a connection for each request, which the server closes. Every
// handshake is checked to be of the asked kind, X25519 with AES-128-GCM.
//
// Of TLS no certificate is checked. Each command but backend prints one line of
// JSON, a [Result]. rate and idle first print {"ready": true} when all their
// connections are open, and go on when they have read a line, or standard input
// has ended; idle holds its connections until it has ended. An answer other than
// 200 is an error.
package main
