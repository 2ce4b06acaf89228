// Package stats has the numbers of a running gateway: live counters that the
// path of a request increments, and the Snapshot that copies them out for the
// admin API, Prometheus, the CLI and tests. It imports nothing of ours.
//
//	counters := stats.NewCounters()
//	site := counters.Site("shop")        // once per generation
//	site.Begin()                         // once per request
//	site.End(200, in, out, took)
//	snapshot := stats.Snapshot{Sites: counters.Sites(), Pools: counters.Pools()}
//
// Limits: everything that is counted is named by the operator (site, pool,
// member) or by a fixed set (code class, kind of failure), never by a client.
// A snapshot is not one instant: each number is read atomically, one by one.
package stats
