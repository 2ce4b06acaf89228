package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// WorkerOperator is what operators do with the processes that the gateway has started.
type WorkerOperator interface {
	// ReloadWorkers replaces the workers of a pool, or of all pools for "", by new
	// ones. It returns when the new ones serve and the old ones have ended, or when
	// ctx ends; then the replacement goes on. An error whose NotFound() bool is true
	// is as those of PoolOperator: there is no such pool, or it has no workers. The
	// text of any other may have many lines, with the last ones that the new workers
	// wrote; the old ones go on.
	ReloadWorkers(ctx context.Context, pool string) error
}

// RefusedError says that the gateway did what it was asked to, and that nothing has
// come of it.
type RefusedError struct {
	Text string // may have many lines
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Text }

// workersAnswer is the answer to a replacement of workers.
type workersAnswer struct {
	Pool string        `json:"pool,omitempty"` // "": all
	Took time.Duration `json:"took_ns"`
}

// reloadWorkers replaces the workers of ?pool=, or of all pools, and answers when the
// new ones serve and the old ones have ended.
func (a *API) reloadWorkers(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	pool := r.URL.Query().Get("pool")
	err := a.gateway.ReloadWorkers(r.Context(), pool)
	answerChange(a, w, workersAnswer{Pool: pool, Took: time.Since(begin)}, err)
}

// ReloadWorkers makes the gateway replace the workers of a pool, or of all pools for
// "", and waits until the new ones serve and the old ones have ended. The error is an
// *UnknownError when there is no such pool or it has no workers, and a *RefusedError
// when new ones did not start: the old ones go on.
func (c *Client) ReloadWorkers(ctx context.Context, pool string) error {
	path := "/v1/workers/reload"
	if pool != "" {
		path += "?" + url.Values{"pool": {pool}}.Encode()
	}
	var answer workersAnswer
	status, err := c.do(ctx, http.MethodPost, path, &answer)
	if status == http.StatusUnprocessableEntity && err != nil {
		return &RefusedError{Text: strings.TrimRight(err.Error(), "\n")}
	}
	return err
}
