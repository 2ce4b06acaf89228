package config

// siteRules are those of the filters, which sites and routes have, and of the
// actions of routes.
func siteRules(all map[string]rule) {
	all["cache.memory"] = rule{off: true}
	for _, at := range []string{"sites[].", "sites[].routes[]."} {
		for name, r := range filterRules() {
			all[at+name] = r
		}
	}
	for name, r := range map[string]rule{
		"pool":                  {notMap: "write the name of a pool, or split: {pools: [...]} for several"},
		"method":                {one: true},
		"sendfile":              {one: true},
		"request_body":          {enum: []string{"spool", "stream"}},
		"priority":              {enum: []string{"high", "normal", "low"}},
		"retry":                 {enum: []string{"idempotent", "safe"}},
		"respond.status":        {min: 200, max: 599},
		"respond.body":          {empty: true},
		"split.pools[].weight":  {min: 1, max: 1000, off: true},
		"mirror.percent":        {min: 1, max: 100},
		"files.try":             {one: true},
		"files.index":           {one: true, off: true},
		"files.precompressed":   {one: true, off: true},
		"files.precompressed[]": {enum: codings()},
		"files.immutable":       {off: true},
		"files.max_age":         {off: true},
		"files.memory":          {off: true},
	} {
		all["sites[].routes[]."+name] = r
	}
}

// codings are the content codings that are made and understood.
func codings() []string { return []string{"br", "zstd", "gzip"} }

func filterRules() map[string]rule {
	return map[string]rule{
		"access":                       {off: true},
		"access.allow":                 {one: true},
		"access.deny":                  {one: true},
		"rate_limit":                   {one: true, off: true},
		"rate_limit[].burst":           {min: 1, max: 1_000_000},
		"in_flight":                    {one: true, off: true},
		"in_flight[].limit":            {min: 1, max: 1_000_000},
		"forward_auth.headers":         {one: true},
		"client_cert":                  {enum: []string{"required", "off"}},
		"cross_origin.trusted":         {one: true},
		"body_types":                   {one: true, off: true},
		"headers":                      {off: true},
		"headers.request.remove":       {one: true},
		"headers.response.remove":      {one: true},
		"security":                     {enum: []string{"strict", "basic", "off"}},
		"cors":                         {off: true},
		"cors.origins":                 {one: true},
		"cors.methods":                 {one: true},
		"cors.headers":                 {one: true},
		"cors.expose":                  {one: true},
		"cors.max_age":                 {off: true},
		"compress.codings":             {one: true},
		"compress.codings[]":           {enum: codings()},
		"compress.types":               {one: true},
		"compress.min_size":            {off: true},
		"compress.level":               {enum: []string{"fast", "default", "best"}},
		"cache.query":                  {one: true, off: true},
		"cache.ttl":                    {one: true},
		"cache.ttl[].status":           {one: true},
		"cache.ttl[].status[]":         {min: 200, max: 599},
		"cache.stale_while_revalidate": {off: true},
		"cache.stale_if_error":         {off: true},
		"cache.lock":                   {off: true},
		"bandwidth.rate":               {off: true},
		"errors":                       {off: true},
		"maintenance.allow":            {one: true},
		"maintenance.retry_after":      {off: true},
	}
}
