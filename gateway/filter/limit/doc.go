// Package limit bounds what one client, or whatever else a key tells apart, may take:
// requests in a time (Rates), requests at once (Gate), and bytes in a second (Pace).
//
//	rates, err := limit.NewRates(rules, "sites[0]", limit.Setup{Counters: counters})
//	v := rates.Take(ctx, client, func() expression.View { return view })
//	if !v.Allowed {
//		v.Fields(&fields) // RateLimit-Policy and RateLimit
//		return tooMany(fields, v.RetryAfter)
//	}
//
// # Rates
//
// A rate of 5/m lets a key have 5 requests at once, and gives one back every 12
// seconds; a burst adds to those at once. This is GCRA, the generic cell rate
// algorithm (ITU-T I.371), whose state is one time for each key: no window begins
// anew for everybody at once. A request that is refused takes nothing; of several
// rates the first that refuses decides, and the request takes nothing of the local
// ones before it.
//
// The fields are those of draft-ietf-httpapi-ratelimit-headers: q is how many may
// come at once, w in how many seconds all of them are given back, r how many are
// left, t in how many seconds all are there again.
//
// # Keys
//
// Without a key, and with client.ip, clients are told apart by address: IPv4 by the
// whole of it, IPv6 by its first 64 bits, because a single machine has as many
// addresses below them as it likes. string(client.ip) tells all 128 bits apart. A
// client without an address is one client. A key that cannot be evaluated, which a
// client can bring about, is one key for all of them.
//
// # Bounds
//
// A rate remembers 262,144 keys in about 13 MB, and what a key has taken is forgotten
// when it is given back. When there are more, a key that has the most left of a
// few is forgotten. One that is refused at the moment never is: a client with many
// addresses cannot free another. Where it has used them all up, the keys that are
// not known share what 16 keys have, until keys are free again; the log says so.
//
// At most 1,024 requests wait for their turn at one rate; more are refused.
package limit
