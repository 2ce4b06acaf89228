// Package compress codes the bodies of answers (RFC 9110, 8.4.1) with zstd (RFC
// 8878), br (RFC 7932) or gzip (RFC 1952), as the client likes it and if it is worth
// it: text of some length that nobody has coded yet and that may be transformed.
//
//	c, err := compress.New(compress.Options{})
//	w := c.Wrap(stream, request)
//	if err := answer(w); err != nil { // WriteHead, Write, Flush
//		w.Cut()
//		return err
//	}
//	return w.Close()
//
// Answers whose length depends on a secret and on what an attacker can say tell the
// secret by their length (BREACH). To those that are not for everybody a random
// length is added inside the coded form, where no decoder shows it: that makes such
// an attack longer, by orders of magnitude, but not impossible. Answers that do not
// mix both need none.
//
// An encoder takes 1 to 5 MiB. Those that are in use together take at most
// MaxMemory; answers that come when that is reached are sent as they are. Idle ones
// are kept, as many as run at once and MaxMemory at most: routes should share them
// (NewShared).
package compress
