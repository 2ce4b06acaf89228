package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"time"

	"headgate/gateway/stats"
)

// Gateway is what the API operates.
type Gateway interface {
	// Reload loads the configuration again. It returns the generation that
	// serves now; on an error that is the old one. It returns when ctx ends.
	Reload(ctx context.Context) (stats.Generation, error)
	// Snapshot returns what the gateway knows of itself.
	Snapshot() stats.Snapshot
	// RenewCertificate obtains a new certificate for a name now, and returns when
	// it serves, when it cannot be had, or when ctx ends. An error whose
	// NotFound() bool is true says that the name has none.
	RenewCertificate(ctx context.Context, name string) error
	// RevokeCertificate takes back the certificate of a name, for a reason of RFC
	// 5280 section 5.3.1, and then is RenewCertificate.
	RevokeCertificate(ctx context.Context, name, reason string) error
	PoolOperator
	SiteOperator
	WorkerOperator
}

// PoolOperator is what operators do with pools. Its methods do not block. An error
// whose NotFound() bool is true says that there is no such pool or member, and has
// Names() (asked string, known []string) with those that there are.
type PoolOperator interface {
	// DrainMember takes the member at an address out of service, or with on false
	// back into it.
	DrainMember(pool, address string, on bool) (stats.PoolChange, error)
	// PausePool holds requests back for d; 0 is as long as is usual.
	PausePool(pool string, d time.Duration) (stats.PoolChange, error)
	// ResumePool ends a pause.
	ResumePool(pool string) (stats.PoolChange, error)
}

// ReloadResult is the answer to a reload.
type ReloadResult struct {
	OK         bool          `json:"ok"`
	Error      string        `json:"error,omitempty"` // may have many lines
	Generation uint64        `json:"generation"`      // that serves now
	Hash       string        `json:"hash"`            // of its configuration
	Took       time.Duration `json:"took_ns"`
}

// API answers operators. It is an http.Handler, safe for concurrent use; who may
// use it is for the listener to say.
type API struct {
	mux     *http.ServeMux
	gateway Gateway
	log     *slog.Logger
}

// NewAPI returns the API of g; a nil log is silent.
func NewAPI(g Gateway, log *slog.Logger) *API {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &API{mux: http.NewServeMux(), gateway: g, log: log}
	a.mux.HandleFunc("POST /v1/reload", a.reload)
	a.mux.HandleFunc("GET /v1/status", a.status)
	a.mux.HandleFunc("POST /v1/certificates/renew", a.renew)
	a.mux.HandleFunc("POST /v1/certificates/revoke", a.revoke)
	a.mux.HandleFunc("POST /v1/workers/reload", a.reloadWorkers)
	for _, path := range []string{"/v1/reload", "/v1/certificates/renew", "/v1/certificates/revoke", "/v1/workers/reload"} {
		a.mux.HandleFunc(path, a.notAllowed("POST"))
	}
	for _, paths := range []map[string]http.HandlerFunc{a.poolPaths(), a.sitePaths()} {
		for path, handle := range paths {
			a.mux.HandleFunc("POST "+path, handle)
			a.mux.HandleFunc(path, a.notAllowed("POST"))
		}
	}
	a.mux.HandleFunc("/v1/status", a.notAllowed("GET, HEAD"))
	a.mux.HandleFunc("/", a.notFound)
	return a
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Serve answers at ln until ctx ends, then gives answers under way two seconds
// and closes ln. It returns after its last goroutine.
func (a *API) Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, a, 0, a.log)
}

func (a *API) reload(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	g, err := a.gateway.Reload(r.Context())
	result := ReloadResult{OK: err == nil, Generation: g.Number, Hash: g.Hash, Took: time.Since(begin)}
	status := http.StatusOK
	if err != nil {
		result.Error = err.Error()
		status = http.StatusUnprocessableEntity
	}
	a.write(w, status, result)
}

func (a *API) status(w http.ResponseWriter, _ *http.Request) {
	a.write(w, http.StatusOK, a.gateway.Snapshot())
}

func (a *API) notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		a.write(w, http.StatusMethodNotAllowed, failure{Error: r.URL.Path + " does not know the method " + r.Method + ": use " + allow})
	}
}

func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	a.write(w, http.StatusNotFound, failure{Error: "the admin API has no " + r.URL.Path + ": the client and the gateway may be of different versions"})
}

// failure is the answer to what did not work.
type failure struct {
	Error string   `json:"error"`
	Asked string   `json:"asked,omitempty"` // what there is not
	Known []string `json:"known,omitempty"` // what there is in its place
}

func (a *API) write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // a number that JSON does not have
		a.log.Error("admin answer not encoded", "err", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(body, '\n')); err != nil {
		a.log.Debug("admin answer not written", "err", err)
	}
}
