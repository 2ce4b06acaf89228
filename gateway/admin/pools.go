package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"headgate/gateway/stats"
)

// UnknownError says that the gateway has no such pool, or the pool no such member.
// Its text lists those that there are, as far as there are not too many.
type UnknownError struct {
	Text  string
	Asked string   // what it has not
	Known []string // what it has
}

// Error implements error.
func (e *UnknownError) Error() string { return e.Text }

// poolPaths are what an operator can do with a pool.
func (a *API) poolPaths() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/v1/pools/{pool}/drain":   a.drain(true),
		"/v1/pools/{pool}/undrain": a.drain(false),
		"/v1/pools/{pool}/pause":   a.pause,
		"/v1/pools/{pool}/resume":  a.resume,
	}
}

// drain takes the member ?member= out of service, or with on false back into it.
func (a *API) drain(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		member := r.URL.Query().Get("member")
		if member == "" {
			a.write(w, http.StatusBadRequest, failure{Error: "the address of a member is missing: add ?member=ADDRESS, as GET /v1/status has it"})
			return
		}
		c, err := a.gateway.DrainMember(r.PathValue("pool"), member, on)
		answerChange(a, w, c, err)
	}
}

// pause holds the requests of a pool back for ?for=, or for as long as is usual.
func (a *API) pause(w http.ResponseWriter, r *http.Request) {
	var d time.Duration
	if s := r.URL.Query().Get("for"); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil || d == 0 {
			a.write(w, http.StatusBadRequest, failure{Error: fmt.Sprintf("for: %q is not a length of time: write it like 90s or 5m", s)})
			return
		}
	}
	c, err := a.gateway.PausePool(r.PathValue("pool"), d)
	answerChange(a, w, c, err)
}

func (a *API) resume(w http.ResponseWriter, r *http.Request) {
	c, err := a.gateway.ResumePool(r.PathValue("pool"))
	answerChange(a, w, c, err)
}

// answerChange makes an answer of what became of an operator's wish: 404 when err
// says that there is no such thing.
func answerChange[T any](a *API, w http.ResponseWriter, c T, err error) {
	var unknown interface {
		NotFound() bool
		Names() (asked string, known []string)
	}
	switch {
	case err == nil:
		a.write(w, http.StatusOK, c)
	case errors.As(err, &unknown) && unknown.NotFound():
		asked, known := unknown.Names()
		a.write(w, http.StatusNotFound, failure{Error: err.Error(), Asked: asked, Known: known})
	default:
		a.write(w, http.StatusUnprocessableEntity, failure{Error: err.Error()})
	}
}

// DrainMember takes the member of a pool at an address out of service: it gets no
// new request, and those that it has go on. It does not wait for them. The error
// is an *UnknownError when there is no such pool or member.
func (c *Client) DrainMember(ctx context.Context, pool, address string) (stats.PoolChange, error) {
	return c.change(ctx, pool, "drain", url.Values{"member": {address}})
}

// UndrainMember takes DrainMember back.
func (c *Client) UndrainMember(ctx context.Context, pool, address string) (stats.PoolChange, error) {
	return c.change(ctx, pool, "undrain", url.Values{"member": {address}})
}

// PausePool holds back the requests of a pool that are not yet at a member, for d
// or until ResumePool; 0 is as long as is usual. It does not wait for those that
// are at members. The error is an *UnknownError when there is no such pool.
func (c *Client) PausePool(ctx context.Context, pool string, d time.Duration) (stats.PoolChange, error) {
	q := url.Values{}
	if d != 0 {
		q.Set("for", d.String())
	}
	return c.change(ctx, pool, "pause", q)
}

// ResumePool ends a pause; Changed is false when there was none.
func (c *Client) ResumePool(ctx context.Context, pool string) (stats.PoolChange, error) {
	return c.change(ctx, pool, "resume", nil)
}

func (c *Client) change(ctx context.Context, pool, what string, q url.Values) (stats.PoolChange, error) {
	var answer stats.PoolChange
	path := "/v1/pools/" + url.PathEscape(pool) + "/" + what
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	_, err := c.do(ctx, http.MethodPost, path, &answer)
	return answer, err
}
