package config

import (
	"headgate/upstream"
	"headgate/upstream/dns"
	"headgate/upstream/uwsgi"
	"headgate/upstream/worker"
)

// Pool is a named set of members that can answer the same requests.
type Pool struct {
	// Exactly one of members, workers and subscriptions says who answers.
	Members []Member `yaml:"members"` // strings, or maps when there is more to say

	Workers *worker.Options `yaml:"workers"` // processes that are started and looked after from here

	// true: uWSGI instances that announce themselves (subscriptions.listen) for the
	// host of a request.
	Subscriptions bool `yaml:"subscriptions"`

	// uwsgi (default); suwsgi: uwsgi inside TLS; http: HTTP/1.1, to an ASGI server
	// for example; h2c: HTTP/2 in clear text.
	Protocol string `yaml:"protocol"`

	// uWSGI's --stats address, for slots, readiness and metrics. Of a pool with
	// more than one member it is a port alone, ":9191", at the host of each one.
	Stats string `yaml:"stats"`

	// How members that are named are looked up: name:3031, srv:NAME.
	DNS dns.Options `yaml:"dns"`

	// How members are spoken to. Its TLS.Enabled follows Protocol.
	UWSGI uwsgi.Options `yaml:",inline"`

	// How requests are shared among members.
	Upstream upstream.Options `yaml:",inline"`
}

// The protocols of members.
const (
	ProtocolUWSGI  = "uwsgi"
	ProtocolSUWSGI = "suwsgi"
	ProtocolHTTP   = "http"
	ProtocolH2C    = "h2c"
)

// SpeaksHTTP reports whether the members are HTTP servers.
func (p Pool) SpeaksHTTP() bool { return p.Protocol == ProtocolHTTP || p.Protocol == ProtocolH2C }

// Member is one server of a pool. In a file it is mostly written as its address
// alone.
type Member struct {
	// unix:/run/app.sock, unix:@abstract, 10.0.0.7:3031, [::1]:3031, or a name that
	// is looked up again as its record says: app:3031, srv:_uwsgi._tcp.app.internal.
	Address string `yaml:"address,short"`

	Weight int    `yaml:"weight"` // its share in proportion to the others (1)
	Slots  int    `yaml:"slots"`  // requests in flight; those of the pool when absent
	Backup bool   `yaml:"backup"` // used only while no other member is fit
	Stats  string `yaml:"stats"`  // uWSGI's --stats address of this member
}
