// Package accesslog writes a line for every request, and makes the logger of the
// process. It imports nothing of ours.
//
//	log, err := accesslog.Open(options, os.Stdout, accesslog.Terminal(os.Stdout), process)
//	go log.Run(ctx)            // writes; returns when all is written
//	log.Write(&accesslog.Entry{Time: start, Method: "GET", Status: 200})
//	log.Reopen()               // after logrotate has moved the file
//
// Lines are JSON objects, or text for people. Both escape what a client sent: one
// request is one line, and no client can make up a line or a field, move the
// cursor of a terminal or turn the direction of its text. A query string has no
// field: it may hold secrets.
//
// Limits: a line never waits for the destination. Lines collect in memory and
// are written when 64 KiB have come together or 200 ms have passed. When the
// destination stands still (a full pipe, a stopped terminal), up to 4 MiB is
// kept and what comes then is dropped, counted, and reported to the process log.
package accesslog
