// Package redis counts rates in a Redis server that several gateways share. It
// implements limit.Shared.
//
//	var servers redis.Servers
//	defer servers.Close()
//	rates, err := limit.NewRates(rules, place, limit.Setup{Shared: servers.Open})
//
// A count is one key with a time (GCRA) by the clock of the server, which expires
// when all that was taken is given back. A script reads and writes it, so requests of
// several gateways at once count each.
//
// A server that does not answer within 50 ms (?timeout=50ms in its URL) is left alone
// for a second, and then for up to 10, during which Take returns ErrAway at once: of a
// dead server one request in that time notices something, and no other. The log hears
// when that begins and when it ends. Redis 5 or later is needed, and neither a cluster
// nor a replica.
package redis
