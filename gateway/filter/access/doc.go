// Package access decides who may come: by address, by name and password, by the
// origin of the page that sends a request, and by the type of what is sent.
//
//	list, err := access.New(access.Options{Allow: []string{"10.0.0.0/8"}})
//	if !list.Allows(client) { ... } // 403
//
//	passwords, err := access.OpenPasswords("/etc/headgate/users", report)
//	user, password, ok := access.Credentials(r.Fields)
//	if !ok || !passwords.Check(ctx, user, password) { ... } // 401 with Challenge
//
//	guard, err := access.NewCrossOrigin(access.CrossOrigin{On: notation.On})
//	if err := guard.Check(r, host); err != nil { ... } // 403
//
//	types, err := access.NewTypes([]string{"image/*"})
//	if !types.Allows(r.Fields.Get("Content-Type")) { ... } // 415
//
// # Networks
//
// An IPv4 address counts in either form (::ffff:10.0.0.7 is 10.0.0.7), and is not
// in ::/0. A client without an address, on a Unix socket, is in no network: with
// allow it is refused, with deny alone it is not.
//
// # Passwords
//
// The file has a line name:hash for each user, as htpasswd -B and headgate
// hash-password write it, blank lines and comments that begin with #. A hash is
// Argon2id as a PHC string (RFC 9106; at most 256 MiB, 10 passes, 16 lanes) or bcrypt
// (cost 4 to 15). Clear text, MD5, SHA-1 and crypt are refused. The file has at most
// 4 MiB. It is looked at once a second at most, when a request comes, and read again
// when it has changed; what is wrong then, also that it is gone or has no user, is
// reported once, and what was there before goes on to hold.
//
// A check costs what the hash costs, for a name that is not in the file too. As many
// run at once as there are processors, in each Passwords; others wait as long as
// their request lives. A pair that was right is remembered for ten minutes at most,
// 1,024 of them, as a keyed digest from which nobody can get the password, and until
// the file changes.
package access
