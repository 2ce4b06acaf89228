package config

import "headgate/upstream/worker"

// A rule is what the type of a key does not say.
type rule struct {
	enum     []string // the words that are accepted
	notMap   string   // what to write in place of a map
	off      bool     // "off" is accepted
	one      bool     // a list that may be written as its only item
	min, max int64    // of a number; both 0: any
	empty    bool     // of a text: may be empty
}

// rules are all of them, by the pattern of their path.
func rules() map[string]rule {
	all := map[string]rule{
		"listen.http":              {one: true},
		"listen.https":             {one: true},
		"tls.issuer":               {one: true},
		"tls.email":                {empty: true},
		"tls.storage":              {empty: true},
		"tls.min_version":          {enum: []string{"1.2", "1.3"}},
		"admin.socket":             {empty: true},
		"metrics":                  {empty: true},
		"log.access":               {empty: true},
		"log.format":               {enum: []string{"auto", "text", "json"}},
		"log.level":                {enum: []string{"debug", "info", "warn", "error"}},
		"grace":                    {off: true},
		"pools.*.protocol":         {enum: []string{"uwsgi", "suwsgi", "http", "h2c"}},
		"pools.*.dialect":          {enum: []string{"auto", "uwsgi", "gunicorn"}},
		"pools.*.balance":          {enum: []string{"least-busy", "round-robin", "random", "ip-hash"}},
		"pools.*.balance.rule":     {enum: []string{"least-busy", "round-robin", "random", "ip-hash"}},
		"pools.*.slow_start":       {off: true},
		"pools.*.modifier1":        {max: 255},
		"pools.*.queue.limit":      {min: 1, max: 1 << 20},
		"pools.*.queue.fairness":   {enum: []string{"client", "off"}},
		"pools.*.retry.attempts":   {min: 1, max: 10},
		"pools.*.eject.failures":   {min: 1, max: 1000, off: true},
		"pools.*.check.status":     {min: 200, max: 599},
		"pools.*.check.rise":       {min: 1, max: 100},
		"pools.*.check.fall":       {min: 1, max: 100},
		"pools.*.vars.*":           {empty: true},
		"sites[].http":             {enum: []string{"redirect", "serve"}},
		"pools.*.members[].weight": {min: 1, max: 1000},
		"pools.*.members[].slots":  {min: 1, max: 1 << 20},
	}
	limitRules(all)
	workerRules(all)
	siteRules(all)
	tlsRules(all)
	return all
}

func limitRules(all map[string]rule) {
	all["limits.headers"] = rule{min: 1, max: 10_000}
	all["limits.connections"] = rule{min: 1, max: 1 << 24, off: true}
	all["limits.client_connections"] = rule{min: 1, max: 1 << 24, off: true}
	for _, name := range []string{"limits.", "sites[].limits.", "sites[].routes[].limits."} {
		all[name+"body"] = rule{off: true}
		all[name+"body_idle_timeout"] = rule{off: true}
		all[name+"write_idle_timeout"] = rule{off: true}
	}
	all["limits.header_timeout"] = rule{off: true}
	all["limits.idle_timeout"] = rule{off: true}
	all["limits.response_file"] = rule{off: true}
}

func workerRules(all map[string]rule) {
	all["pools.*.workers"] = rule{}
	all["pools.*.workers.server"] = rule{enum: []string{"auto", "uwsgi", "gunicorn", "builtin"}}
	all["pools.*.workers.env.*"] = rule{empty: true}
	all["pools.*.workers.threads"] = rule{min: 1, max: worker.MostThreads}
	all["pools.*.workers.min"] = rule{min: 1, max: worker.MostProcesses}
	all["pools.*.workers.max"] = rule{min: 1, max: worker.MostProcesses}
	all["pools.*.workers.max_requests"] = rule{min: 1, max: 1 << 31}
	all["pools.*.workers.idle"] = rule{off: true}
	all["subscriptions.listen"] = rule{one: true}
	all["subscriptions.max_keys"] = rule{min: 1, max: 1_000_000}
	all["subscriptions.max_nodes"] = rule{min: 1, max: 100_000}
	all["subscriptions.allow[].modifiers[]"] = rule{max: 255}
	all["subscriptions.sign.digest"] = rule{enum: []string{"sha1", "sha224", "sha256", "sha384", "sha512"}}
}

func tlsRules(all map[string]rule) {
	all["tls.on_demand.rate"] = rule{min: 1, max: 1_000_000}
	all["sites[].tls.issuer"] = rule{one: true}
	all["sites[].tls.min_version"] = all["tls.min_version"]
	all["sites[].tls.client_auth.mode"] = rule{enum: []string{"require", "request"}}
	all["sites[].tls.client_auth.depth"] = rule{min: 1, max: 10, off: true}
	all["tls.acme.roots"] = rule{empty: true} // the contract writes it and the binding as ""
	all["tls.acme.eab.key_id"] = rule{empty: true}
	all["tls.acme.eab.hmac"] = rule{empty: true}
	challenges := rule{enum: []string{"http-01", "tls-alpn-01", "dns-01", "dns-persist-01"}}
	for _, name := range []string{"tls.acme.", "tls.issuers[]."} {
		all[name+"keys[]"] = rule{enum: []string{"p256", "p384", "rsa2048", "rsa4096"}}
		all[name+"challenges[]"] = challenges
		all[name+"challenges[].type"] = challenges
		all[name+"challenges[].propagation_timeout"] = rule{off: true}
		all[name+"challenges[].rfc2136.algorithm"] = rule{enum: []string{"hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1"}}
	}
}
