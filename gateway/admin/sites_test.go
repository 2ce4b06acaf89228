package admin_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

func TestMaintenanceOfASite(t *testing.T) {
	path := socketPath(t)
	stop := serveAPI(t, &gateway{maintain: func(site string, on bool) (stats.SiteChange, error) {
		if site != "*" && site != "shop.example.com" {
			return stats.SiteChange{}, unknownMember{errors.New("there is no site")}
		}
		return stats.SiteChange{Site: site, Maintenance: on, Changed: true}, nil
	}}, path)
	c := admin.NewClient(path)
	for _, site := range []string{"*", "shop.example.com"} {
		for _, on := range []bool{true, false} {
			got, err := c.SetMaintenance(t.Context(), site, on)
			if want := (stats.SiteChange{Site: site, Maintenance: on, Changed: true}); err != nil || got != want {
				t.Errorf("%s %v: got %+v, %v", site, on, got, err)
			}
		}
	}
	var unknown *admin.UnknownError
	if _, err := c.SetMaintenance(t.Context(), "a/b?c", true); !errors.As(err, &unknown) {
		t.Errorf("a site that there is not: got %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPurge(t *testing.T) {
	path := socketPath(t)
	var asked []stats.Purge
	stop := serveAPI(t, &gateway{purge: func(p stats.Purge) (stats.Purged, error) {
		asked = append(asked, p)
		if p.Tag == "bad" {
			return stats.Purged{}, errors.New("no such thing")
		}
		return stats.Purged{Removed: len(asked)}, nil
	}}, path)
	c := admin.NewClient(path)
	wishes := []stats.Purge{{URL: "https://a.example/x?a=b&c"}, {Prefix: "/p q"}, {Tag: "t"}, {All: true}}
	for i, wish := range wishes {
		if got, err := c.PurgeCache(t.Context(), wish); err != nil || got.Removed != i+1 {
			t.Errorf("%+v: got %+v, %v", wish, got, err)
		}
	}
	if d := cmp.Diff(wishes, asked); d != "" {
		t.Errorf("what the gateway was asked (-want +got):\n%s", d)
	}
	if _, err := c.PurgeCache(t.Context(), stats.Purge{Tag: "bad"}); err == nil || err.Error() != "no such thing" {
		t.Errorf("a purge that fails: got %v", err)
	}
	for _, wish := range []stats.Purge{{}, {URL: "/a", Tag: "b"}, {All: true, Prefix: "/"}} {
		if _, err := c.PurgeCache(t.Context(), wish); err == nil || !strings.Contains(err.Error(), "exactly one of") {
			t.Errorf("%+v: got %v", wish, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPathsOfSitesWantPOST(t *testing.T) {
	api := admin.NewAPI(&gateway{}, nil)
	for _, path := range []string{"/v1/cache/purge?all=true", "/v1/sites/a/maintenance/on", "/v1/sites/a/maintenance/off"} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("GET %s = %d, Allow %q", path, w.Code, w.Header().Get("Allow"))
		}
	}
}
