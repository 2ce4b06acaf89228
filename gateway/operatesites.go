package gateway

import (
	"fmt"
	"slices"

	"headgate/gateway/cache"
	"headgate/gateway/stats"
	"headgate/routing"
)

// SetMaintenance switches the maintenance of a site on or off, which is named by one
// of its hosts, or by * if it is that of all others. It holds until it is switched
// off, or the gateway ends. It does not block. An error whose NotFound() bool is true
// says that there is no such site.
func (g *Gateway) SetMaintenance(site string, on bool) (stats.SiteChange, error) {
	gen := g.current.Load()
	if gen == nil {
		return stats.SiteChange{}, unknownPart{asked: site, text: "the gateway has not read its configuration yet"}
	}
	var known []string
	for _, c := range gen.conf.Sites {
		name := siteName(c)
		host, err := routing.CheckHost(site)
		if name == site || err == nil && slices.ContainsFunc(c.Hosts, func(h string) bool { return sameHost(h, host) }) {
			was := g.switches.of(name).Swap(on)
			if was != on {
				g.log.Info("maintenance switched by an operator", "site", name, "on", on)
			}
			return stats.SiteChange{Site: name, Maintenance: on, Changed: was != on}, nil
		}
		known = append(known, name)
	}
	return stats.SiteChange{}, unknownPart{asked: site, known: known, text: fmt.Sprintf("there is no site %q: there is %s", site, listed(known))}
}

// PurgeCache takes answers out of the cache that routes keep. It looks at each that
// there is, and returns how many went.
func (g *Gateway) PurgeCache(p stats.Purge) (stats.Purged, error) {
	n, err := g.cache.Purge(cache.Purge{URL: p.URL, Prefix: p.Prefix, Tag: p.Tag, All: p.All})
	if err == nil {
		g.log.Info("cache purged by an operator", "url", p.URL, "prefix", p.Prefix, "tag", p.Tag, "all", p.All, "removed", n)
	}
	return stats.Purged{Removed: n}, err
}

// cacheStats are the numbers of the store.
func (g *Gateway) cacheStats() stats.Cache {
	s := g.cache.Stats()
	return stats.Cache{
		Entries: s.Entries, MemoryBytes: s.Memory, DiskBytes: s.Disk,
		Hits: s.Hits, Stale: s.Stale, Revalidated: s.Revalidated, Misses: s.Misses, Collapsed: s.Collapsed,
		Bypassed: s.Bypassed, Evicted: s.Evicted,
	}
}
