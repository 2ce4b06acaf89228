package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"headgate/tls/certs"
)

const (
	askTime   = 5 * time.Second
	askAnswer = 64 << 10    // of an answer that is read, so that its connection can serve again
	askSilent = time.Minute // between two complaints about an app that does not answer
)

// asks puts the question whether a name that no site lists may have a
// certificate, to a URL or to an app behind this gateway. It outlives
// generations; its functions are safe for concurrent use.
type asks struct {
	log  *slog.Logger
	web  *http.Transport
	life context.Context // ends with the gateway
	end  context.CancelFunc

	mu   sync.Mutex // guards the field below
	said time.Time  // when it was last complained
}

func newAsks(log *slog.Logger) *asks {
	a := &asks{log: log, web: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}}
	a.life, a.end = context.WithCancel(context.Background())
	return a
}

// close ends the questions that are under way and their connections.
func (a *asks) close() {
	a.end()
	a.web.CloseIdleConnections()
}

// of returns the question as gen's configuration puts it; nil for none.
func (a *asks) of(gen *generation) func(ctx context.Context, name string) error {
	ask := gen.conf.TLS.OnDemand.Ask
	if ask == certs.AskSubscriptions {
		return gen.announced
	}
	u, err := url.Parse(ask)
	if ask == "" || err != nil { // Validate has refused that
		return nil
	}
	put := a.atURL(u)
	if u.Scheme == "pool" {
		put = gen.atPool(u)
	}
	return func(ctx context.Context, name string) error {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		defer context.AfterFunc(a.life, cancel)()
		status, err := put(ctx, name)
		return a.judge(ctx, u, name, status, err)
	}
}

// judge makes an answer of a status: 200 to 299 is yes, 400 to 499 is no. All else
// is no answer, for now a no, and somebody has to mend it.
func (a *asks) judge(ctx context.Context, u *url.URL, name string, status int, err error) error {
	var cure string
	switch {
	case err != nil:
		cure = "start what answers there, or correct tls.on_demand.ask"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", askTime)
		}
	case status >= 200 && status <= 299:
		return nil
	case status >= 400 && status <= 499:
		return fmt.Errorf("the answer of tls.on_demand.ask is %d", status)
	case status >= 300 && status <= 399:
		err, cure = fmt.Errorf("the answer is %d, and redirects are not followed", status), "let tls.on_demand.ask name the address that answers itself"
	default:
		err, cure = fmt.Errorf("the answer is %d", status), "mend the app: it has to answer 200 for yes and 404 for no"
	}
	if a.life.Err() != nil {
		return errors.New("the gateway is stopping")
	}
	a.complain("host", name, "ask", u.Scheme+"://"+u.Host+u.Path, "err", err, "cure", cure)
	return unanswered{fmt.Errorf("tls.on_demand.ask: %w", err)}
}

// unanswered is the error of a question to which there was no answer: neither yes
// nor no, and worth another try soon.
type unanswered struct{ error }

// Unanswered tells it from a no.
func (unanswered) Unanswered() bool { return true }

// Unwrap returns what went wrong.
func (e unanswered) Unwrap() error { return e.error }

// complain logs, but not again and again: clients choose how often.
func (a *asks) complain(attrs ...any) {
	now := time.Now()
	a.mu.Lock()
	quiet := now.Sub(a.said) < askSilent
	if !quiet {
		a.said = now
	}
	a.mu.Unlock()
	if !quiet {
		a.log.Error("nobody says whether a name may have a certificate, so it gets none", attrs...)
	}
}

// atURL asks an address of the network.
func (a *asks) atURL(u *url.URL) func(ctx context.Context, name string) (status int, err error) {
	return func(ctx context.Context, name string) (int, error) {
		to := *u
		to.RawQuery = withDomain(u.RawQuery, name)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
		if err != nil {
			return 0, err
		}
		r.Header.Set("User-Agent", "headgate")
		if user := u.User; user != nil {
			password, _ := user.Password()
			r.SetBasicAuth(user.Username(), password)
		}
		resp, err := a.web.RoundTrip(r)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, askAnswer) // the status has said all
		return resp.StatusCode, nil
	}
}

// withDomain adds the name to a query, which stays as it is written.
func withDomain(query, name string) string {
	if query != "" {
		query += "&"
	}
	return query + "domain=" + url.QueryEscape(name)
}
