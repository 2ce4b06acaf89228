package stats

import "time"

// State is what a gateway does with new requests.
type State string

// The states, in their order.
const (
	StateStarting State = "starting" // not all listeners accept yet
	StateReady    State = "ready"    // serves
	StateDraining State = "draining" // finishes what it has and then exits
)

// Snapshot is what a gateway knows of itself at a moment: `GET /v1/status`,
// `headgate status` and /metrics are made from it. It holds no secrets.
type Snapshot struct {
	Version      string        `json:"version"`
	State        State         `json:"state"`
	StartedAt    time.Time     `json:"started_at"`
	Config       string        `json:"config"` // the file; "" when it came from flags
	Generation   Generation    `json:"generation"`
	LastReload   Reload        `json:"last_reload"`
	Listeners    []Listener    `json:"listeners"`
	Sites        []Site        `json:"sites"`
	Pools        []Pool        `json:"pools"`
	Apps         []App         `json:"apps,omitempty"`         // files of the folder of apps
	Subscribed   Subscriptions `json:"subscriptions,omitzero"` // by uWSGI instances
	Cache        Cache         `json:"cache"`
	Certificates []Certificate `json:"certificates"`

	CertificateCounts CertificateCounts `json:"certificate_counts"`
	ECH               *ECH              `json:"ech,omitempty"` // nil: off

	LogDropped  uint64 `json:"log_dropped"`  // lines the access log could not write
	SpanDropped uint64 `json:"span_dropped"` // spans that were not exported
}

// Generation names the configuration that serves.
type Generation struct {
	Number uint64    `json:"number"` // 1 is the one of the start
	Hash   string    `json:"hash"`   // of the configuration
	At     time.Time `json:"at"`     // when it began to serve
}

// Reload is the result of the last attempt to load a configuration; the first
// one is the start.
type Reload struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"` // "": it serves
}

// Listener is one address that accepts connections.
type Listener struct {
	Address     string `json:"address"`
	Protocol    string `json:"protocol"`    // http, https or http3
	Connections int64  `json:"connections"` // open now
	Accepted    uint64 `json:"accepted"`
}
