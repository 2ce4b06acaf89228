package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"headgate/gateway/stats"
)

// certificatesAnswer is the answer to a renewal: what the name has now.
type certificatesAnswer struct {
	Certificates []stats.Certificate `json:"certificates"`
}

// renew obtains a new certificate for ?name= and answers when it is there.
func (a *API) renew(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	a.answerCertificates(w, name, a.gateway.RenewCertificate(r.Context(), name))
}

// revoke takes the certificate of ?name= back and answers when there is another.
func (a *API) revoke(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	name := q.Get("name")
	a.answerCertificates(w, name, a.gateway.RevokeCertificate(r.Context(), name, q.Get("reason")))
}

// answerCertificates makes an answer of what became of name: 404 when err says
// that there is no such thing.
func (a *API) answerCertificates(w http.ResponseWriter, name string, err error) {
	var unknown interface{ NotFound() bool }
	switch {
	case err == nil:
		a.write(w, http.StatusOK, certificatesAnswer{certificatesOf(a.gateway.Snapshot(), name)})
	case errors.As(err, &unknown) && unknown.NotFound():
		a.write(w, http.StatusNotFound, failure{Error: err.Error()})
	default:
		a.write(w, http.StatusUnprocessableEntity, failure{Error: err.Error()})
	}
}

func certificatesOf(s stats.Snapshot, name string) []stats.Certificate {
	return slices.DeleteFunc(s.Certificates, func(c stats.Certificate) bool {
		return !slices.ContainsFunc(c.Names, func(n string) bool { return strings.EqualFold(n, name) })
	})
}

// RenewCertificate makes the gateway obtain a new certificate for name now, and
// waits until it is there. It returns what the name has then. The error is what
// stood in the way, or that the gateway could not be asked.
func (c *Client) RenewCertificate(ctx context.Context, name string) ([]stats.Certificate, error) {
	return c.certificates(ctx, "/v1/certificates/renew", url.Values{"name": {name}})
}

// RevokeCertificate makes the gateway take back the certificate of name and obtain
// another one, and waits until it is there. Reason is a word such as
// keyCompromise; "" is none in particular.
func (c *Client) RevokeCertificate(ctx context.Context, name, reason string) ([]stats.Certificate, error) {
	return c.certificates(ctx, "/v1/certificates/revoke", url.Values{"name": {name}, "reason": {reason}})
}

func (c *Client) certificates(ctx context.Context, path string, q url.Values) ([]stats.Certificate, error) {
	var answer certificatesAnswer
	_, err := c.do(ctx, http.MethodPost, path+"?"+q.Encode(), &answer)
	return answer.Certificates, err
}
