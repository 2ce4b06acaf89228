package admin

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headgate/gateway/stats"
)

// collector turns one snapshot into metrics at each scrape.
type collector struct {
	snapshot func() stats.Snapshot
	descs    []*prometheus.Desc

	build, start, ready, generation                      *prometheus.Desc
	reloadOK, reloadAt                                   *prometheus.Desc
	requests, duration, inFlight                         *prometheus.Desc
	bytesIn, bytesOut                                    *prometheus.Desc
	failures, retries, queued, wait                      *prometheus.Desc
	paused, overloaded                                   *prometheus.Desc
	memberRequests, memberInFlight                       *prometheus.Desc
	memberUp, memberAways, memberEjections, memberSlots  *prometheus.Desc
	memberAccepting, memberBusy, memberQueued            *prometheus.Desc
	connections, accepted                                *prometheus.Desc
	certificates, certificateEnd, certTrouble            *prometheus.Desc
	logDropped, spanDropped                              *prometheus.Desc
	cacheAnswers, cacheEntries, cacheBytes, cacheEvicted *prometheus.Desc
	workers, workerProcesses, workerRestarts             *prometheus.Desc
	workerReloads, workerMemory                          *prometheus.Desc
	apps, subscribed, subscribePackets                   *prometheus.Desc
}

func newCollector(snapshot func() stats.Snapshot) *collector {
	c := &collector{snapshot: snapshot}
	c.describeGateway()
	c.describeSites()
	c.describePools()
	c.describeMembers()
	c.describeCache()
	c.describeWorkers()
	return c
}

func (c *collector) desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("headgate_"+name, help, labels, nil)
	c.descs = append(c.descs, d)
	return d
}

func (c *collector) describeGateway() {
	c.build = c.desc("build_info", "1, with the version that runs.", "version", "goversion")
	c.start = c.desc("start_time_seconds", "When the gateway started, in Unix time.")
	c.ready = c.desc("ready", "1 when the gateway serves; 0 when it is starting or draining.")
	c.generation = c.desc("config_generation", "Number of the configuration that serves; 1 is that of the start.")
	c.reloadOK = c.desc("config_last_reload_successful", "1 when the last attempt to load a configuration worked.")
	c.reloadAt = c.desc("config_last_reload_timestamp_seconds", "When a configuration was last loaded, or tried to, in Unix time.")
	c.connections = c.desc("connections", "Open connections of clients.", "listener", "protocol")
	c.accepted = c.desc("connections_accepted_total", "Connections of clients that were accepted.", "listener", "protocol")
	c.certificates = c.desc("certificates", "Certificates that are served.")
	c.certTrouble = c.desc("certificates_in_trouble", "Certificates that could not be renewed or read again.")
	c.certificateEnd = c.desc("certificate_first_expiry_timestamp_seconds", "When the first of the certificates expires, in Unix time.")
	c.logDropped = c.desc("access_log_dropped_lines_total", "Lines that the access log could not write.")
	c.spanDropped = c.desc("tracing_dropped_spans_total", "Spans that were not exported.")
}

func (c *collector) describeSites() {
	c.requests = c.desc("requests_total", "Requests that have ended, by class of status; none: the client went away before one was sent.", "site", "code")
	c.duration = c.desc("request_duration_seconds", "Time from a request's first byte to its response's last.", "site")
	c.inFlight = c.desc("requests_in_flight", "Requests under way.", "site")
	c.bytesIn = c.desc("request_body_bytes_total", "Bytes of request bodies.", "site")
	c.bytesOut = c.desc("response_body_bytes_total", "Bytes of response bodies.", "site")
}

func (c *collector) describeCache() {
	c.cacheAnswers = c.desc("cache_requests_total", "Requests of routes that cache, by what became of them.", "result")
	c.cacheEntries = c.desc("cache_entries", "Answers that are kept.")
	c.cacheBytes = c.desc("cache_bytes", "Room that they take.", "where")
	c.cacheEvicted = c.desc("cache_evicted_total", "Answers that were taken out for want of room.")
}

func (c *collector) describePools() {
	c.failures = c.desc("upstream_failures_total", "Failed attempts at a pool, by kind.", "pool", "kind")
	c.retries = c.desc("upstream_retries_total", "Attempts after the first one.", "pool")
	c.queued = c.desc("upstream_queued", "Requests that wait for a slot.", "pool")
	c.wait = c.desc("upstream_queue_seconds", "Time that requests waited for a slot.", "pool")
	c.paused = c.desc("upstream_paused", "1 while an operator holds the pool's requests back.", "pool")
	c.overloaded = c.desc("upstream_overloaded", "1 while requests wait for so long that the newest go first.", "pool")
}

func (c *collector) describeMembers() {
	c.memberRequests = c.desc("upstream_member_requests_total", "Requests handed to a member.", "pool", "member")
	c.memberInFlight = c.desc("upstream_member_in_flight", "Requests under way at a member.", "pool", "member")
	c.memberUp = c.desc("upstream_member_up", "1 when nothing speaks against a member; 0 when it is away, ejected, failing its checks, drained or leaving.", "pool", "member")
	c.memberAways = c.desc("upstream_member_away_total", "Times that a member could not be connected to any more.", "pool", "member")
	c.memberEjections = c.desc("upstream_member_ejections_total", "Times that a member was ejected for its answers.", "pool", "member")
	c.memberSlots = c.desc("upstream_member_slots", "Requests that a member runs at once; 0 while that is not known.", "pool", "member")
	c.memberAccepting = c.desc("upstream_member_accepting_slots", "Slots that take requests at the moment, by the member's own statistics.", "pool", "member")
	c.memberBusy = c.desc("upstream_member_busy_slots", "Slots that run a request, by the member's own statistics.", "pool", "member")
	c.memberQueued = c.desc("upstream_member_listen_queue", "Connections in the listen queue, by the member's own statistics.", "pool", "member")
}

// Describe sends every Desc.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect sends the numbers of one snapshot.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.snapshot()
	out := sink{ch}
	out.gauge(c.build, 1, s.Version, runtime.Version())
	out.gauge(c.start, unix(s.StartedAt))
	out.gauge(c.ready, boolean(s.State == stats.StateReady))
	out.gauge(c.generation, float64(s.Generation.Number))
	out.gauge(c.reloadOK, boolean(s.LastReload.Error == ""))
	out.gauge(c.reloadAt, unix(s.LastReload.At))
	out.counter(c.logDropped, s.LogDropped)
	out.counter(c.spanDropped, s.SpanDropped)
	c.cache(out, s.Cache)
	for _, site := range s.Sites {
		c.site(out, site)
	}
	for _, pool := range s.Pools {
		c.pool(out, pool)
	}
	for _, l := range s.Listeners {
		out.gauge(c.connections, float64(l.Connections), l.Address, l.Protocol)
		out.counter(c.accepted, l.Accepted, l.Address, l.Protocol)
	}
	c.certs(out, s.Certificates)
	c.folder(out, s.Apps)
	c.subscriptions(out, s.Subscribed)
}

func (c *collector) site(out sink, s stats.Site) {
	for class, n := range s.Requests {
		out.counter(c.requests, n, s.Name, stats.Class(class).String())
	}
	out.histogram(c.duration, s.Duration, s.Name)
	out.gauge(c.inFlight, float64(s.InFlight), s.Name)
	out.counter(c.bytesIn, s.BytesIn, s.Name)
	out.counter(c.bytesOut, s.BytesOut, s.Name)
}

// pool sends the kinds that have not happened too: a rate needs a zero before
// its first one.
func (c *collector) pool(out sink, p stats.Pool) {
	for kind, n := range p.Failures {
		out.counter(c.failures, n, p.Name, stats.Failure(kind).String())
	}
	out.counter(c.retries, p.Retries, p.Name)
	out.gauge(c.queued, float64(p.Queued), p.Name)
	out.histogram(c.wait, p.Wait, p.Name)
	out.gauge(c.paused, boolean(!p.PausedUntil.IsZero()), p.Name)
	out.gauge(c.overloaded, boolean(p.Overloaded), p.Name)
	c.poolWorkers(out, p.Name, p.Workers)
	for _, m := range p.Members {
		c.member(out, p.Name, m)
	}
}

func (c *collector) member(out sink, pool string, m stats.Member) {
	out.counter(c.memberRequests, m.Requests, pool, m.Address)
	out.gauge(c.memberInFlight, float64(m.InFlight), pool, m.Address)
	out.counter(c.memberAways, m.Aways, pool, m.Address)
	out.counter(c.memberEjections, m.Ejections, pool, m.Address)
	out.gauge(c.memberUp, boolean(m.State == stats.MemberUp), pool, m.Address)
	out.gauge(c.memberSlots, float64(m.Slots), pool, m.Address)
	if m.Load == nil {
		return
	}
	out.gauge(c.memberAccepting, float64(m.Load.Accepting), pool, m.Address)
	out.gauge(c.memberBusy, float64(m.Load.Busy), pool, m.Address)
	out.gauge(c.memberQueued, float64(m.Load.Queued), pool, m.Address)
}

// certs sends no names: with certificates on demand they are what clients ask for.
func (c *collector) certs(out sink, certs []stats.Certificate) {
	var first time.Time
	served, trouble := 0, 0
	for _, cert := range certs {
		if cert.Error != "" {
			trouble++
		}
		if cert.NotAfter.IsZero() { // there is none yet
			continue
		}
		served++
		if first.IsZero() || cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	out.gauge(c.certificates, float64(served))
	out.gauge(c.certTrouble, float64(trouble))
	if !first.IsZero() {
		out.gauge(c.certificateEnd, unix(first))
	}
}

// sink takes the metrics of one scrape.
type sink struct{ ch chan<- prometheus.Metric }

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- constant(d)(prometheus.NewConstMetric(d, prometheus.GaugeValue, v, valid(labels)...))
}

func (s sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s.ch <- constant(d)(prometheus.NewConstMetric(d, prometheus.CounterValue, float64(v), valid(labels)...))
}

func (s sink) histogram(d *prometheus.Desc, v stats.Distribution, labels ...string) {
	buckets := make(map[float64]uint64, len(v.Buckets))
	for _, b := range v.Buckets {
		buckets[b.LE] = b.Count
	}
	s.ch <- constant(d)(prometheus.NewConstHistogram(d, v.Count, v.Sum, buckets, valid(labels)...))
}

// constant turns an error into a metric that reports it in the scrape.
func constant(d *prometheus.Desc) func(prometheus.Metric, error) prometheus.Metric {
	return func(m prometheus.Metric, err error) prometheus.Metric {
		if err != nil {
			return prometheus.NewInvalidMetric(d, err)
		}
		return m
	}
}

// valid makes UTF-8 of labels: one that is not would spoil the whole scrape.
func valid(labels []string) []string {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	return labels
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// unix returns t as Prometheus wants it; 0 for the zero time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (c *collector) cache(out sink, s stats.Cache) {
	out.gauge(c.cacheEntries, float64(s.Entries))
	out.gauge(c.cacheBytes, float64(s.MemoryBytes), "memory")
	out.gauge(c.cacheBytes, float64(s.DiskBytes), "disk")
	out.counter(c.cacheEvicted, uint64(s.Evicted))
	for result, n := range map[string]int64{
		"hit": s.Hits, "stale": s.Stale, "revalidated": s.Revalidated, "miss": s.Misses, "collapsed": s.Collapsed, "bypass": s.Bypassed,
	} {
		out.counter(c.cacheAnswers, uint64(n), result)
	}
}
