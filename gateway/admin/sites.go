package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"headgate/gateway/stats"
)

// SiteOperator is what operators do with sites and with what is kept of them. Its
// methods do not block for long. Errors are those of PoolOperator.
type SiteOperator interface {
	// SetMaintenance switches the maintenance of a site, named by one of its hosts, on
	// or off.
	SetMaintenance(site string, on bool) (stats.SiteChange, error)
	// PurgeCache takes answers out of the cache: exactly one of the fields of what is
	// said.
	PurgeCache(what stats.Purge) (stats.Purged, error)
}

// sitePaths are what an operator can do with sites.
func (a *API) sitePaths() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/v1/sites/{site}/maintenance/on":  a.maintenance(true),
		"/v1/sites/{site}/maintenance/off": a.maintenance(false),
		"/v1/cache/purge":                  a.purge,
	}
}

func (a *API) maintenance(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := a.gateway.SetMaintenance(r.PathValue("site"), on)
		answerChange(a, w, c, err)
	}
}

// purge takes out what ?url=, ?prefix=, ?tag= or ?all=true says.
func (a *API) purge(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	what := stats.Purge{URL: q.Get("url"), Prefix: q.Get("prefix"), Tag: q.Get("tag"), All: q.Get("all") == "true"}
	if err := checkPurge(what); err != nil {
		a.write(w, http.StatusBadRequest, failure{Error: err.Error()})
		return
	}
	done, err := a.gateway.PurgeCache(what)
	answerChange(a, w, done, err)
}

// checkPurge wants exactly one thing to be said.
func checkPurge(p stats.Purge) error {
	n := 0
	for _, said := range []bool{p.URL != "", p.Prefix != "", p.Tag != "", p.All} {
		if said {
			n++
		}
	}
	if n != 1 {
		return errors.New("a purge says exactly one of url, prefix, tag and all: add for example ?url=https://shop.example.com/page")
	}
	return nil
}

// SetMaintenance switches the maintenance of a site, named by one of its hosts or *
// for the one of all others. It holds over reloads. The error is an *UnknownError
// when there is no such site.
func (c *Client) SetMaintenance(ctx context.Context, site string, on bool) (stats.SiteChange, error) {
	var answer stats.SiteChange
	word := "off"
	if on {
		word = "on"
	}
	_, err := c.do(ctx, http.MethodPost, "/v1/sites/"+url.PathEscape(site)+"/maintenance/"+word, &answer)
	return answer, err
}

// PurgeCache takes answers out of the cache, also those that are being fetched.
func (c *Client) PurgeCache(ctx context.Context, what stats.Purge) (stats.Purged, error) {
	q := url.Values{}
	for name, value := range map[string]string{"url": what.URL, "prefix": what.Prefix, "tag": what.Tag} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if what.All {
		q.Set("all", "true")
	}
	var answer stats.Purged
	_, err := c.do(ctx, http.MethodPost, "/v1/cache/purge?"+q.Encode(), &answer)
	return answer, err
}
