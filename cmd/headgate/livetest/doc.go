// Package livetest has no code, only tests: they build the headgate binary and
// run it between real servers and real clients, as an operator would. Of
// the gateway itself only the storage is linked in, to put certificates where it looks
// for them, and the scripted worker that tells what an app sees.
//
//	go test ./cmd/headgate/livetest
//	HEADGATE_TEST_BYTES=1GiB go test -run TestLargeBodies ./cmd/headgate/livetest
//
// Behind it are Debian's uWSGI and nginx, beside it Redis and Pebble, before it
// curl, nghttp, gtlsclient and Chromium. A test whose server is missing is skipped,
// and fails where the environment variable CI is set; those of full and read-only
// disks mount a file system, which only root may. HEADGATE_TEST_BYTES is the size
// of the large bodies (100 MiB), HEADGATE_TEST_H2SPEC the path of h2spec.
package livetest
