package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway"
	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
)

// script is a Provider that says what a test wants.
type script struct {
	words chan []gateway.Provided
	end   chan error
}

func newScript() *script {
	return &script{words: make(chan []gateway.Provided), end: make(chan error)}
}

// Run implements gateway.Provider.
func (s *script) Run(ctx context.Context, set func([]gateway.Provided)) error {
	for {
		select {
		case w := <-s.words:
			set(w)
		case err := <-s.end:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// provided is a gateway with a script.
type provided struct {
	*gateway.Gateway
	*script
	t    *testing.T
	log  *gatewaytest.Lines
	at   string // its address
	done chan struct{}

	mu   sync.Mutex // guards the field below
	conf string
}

// onlyHTTP is a main file, to which sites can be added.
const onlyHTTP = "listen: {http: [\"127.0.0.1:0\"]}\nsites:\n- {hosts: [main.test], http: serve, routes: [{respond: {body: main}}]}\n"

// newProvided makes a gateway that does not run.
func newProvided(t *testing.T, conf string) *provided {
	t.Helper()
	dir, err := os.MkdirTemp("", "hg") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &provided{script: newScript(), t: t, log: new(gatewaytest.Lines), done: make(chan struct{}), conf: conf}
	p.Gateway = gateway.New(gateway.Setup{Load: p.load, Provider: p.script, Runtime: filepath.Join(dir, "w"), Log: slog.New(slog.NewJSONHandler(p.log, nil))})
	return p
}

// startProvided runs a gateway that hears of apps first.
func startProvided(t *testing.T, conf string, apps ...gateway.Provided) *provided {
	t.Helper()
	p := newProvided(t, conf)
	p.run()
	p.words <- apps
	select {
	case <-p.Ready():
	case <-p.done:
		t.Fatal("the gateway has ended")
	}
	p.at = p.Snapshot().Listeners[0].Address
	return p
}

func (p *provided) run() {
	go func() {
		defer close(p.done)
		if err := p.Gateway.Run(context.Background()); err != nil {
			p.t.Errorf("Run returned %v", err)
		}
	}()
	p.t.Cleanup(func() {
		p.Stop()
		wait(p.t, p.done, "the end")
	})
}

func (p *provided) load() (*config.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return config.Parse("test.yaml", []byte(p.conf), nil)
}

func (p *provided) configure(conf string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conf = conf
}

// reload has conf serve.
func (p *provided) reload(conf string) {
	p.t.Helper()
	p.configure(conf)
	if _, err := p.Reload(context.Background()); err != nil {
		p.t.Error(err)
	}
}

// fragment is an app as a provider has it that was right at first sight.
func fragment(t *testing.T, name, text string) gateway.Provided {
	t.Helper()
	file := "/apps/" + name + ".yaml"
	f, err := config.ParseApp(file, []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return gateway.Provided{Name: name, File: file, Fragment: f}
}

// page is an app that answers with a text.
func page(t *testing.T, name, host, text string) gateway.Provided {
	t.Helper()
	return fragment(t, name, fmt.Sprintf("hosts: [%s]\nhttp: serve\nroutes: [{respond: {body: %q}}]\n", host, text))
}

// get is the answer of a host: its body, or its status.
func (p *provided) get(host string) string {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+p.at+"/", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Host, r.Close = host, true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || err != nil {
		return fmt.Sprint(resp.StatusCode)
	}
	return string(body)
}

// want waits until hosts answer so.
func (p *provided) want(answers map[string]string) {
	p.t.Helper()
	for host, answer := range answers {
		got := ""
		over := time.Now().Add(patience)
		tick := time.NewTicker(2 * time.Millisecond)
		for got = p.get(host); got != answer && time.Now().Before(over); got = p.get(host) {
			<-tick.C
		}
		tick.Stop()
		if got != answer {
			p.t.Errorf("%s answers %q, want %q", host, got, answer)
		}
	}
}

// wantState: an app has a state, and its error says something.
func (p *provided) wantState(name, state, word string) {
	p.t.Helper()
	var got stats.App
	for _, a := range p.Snapshot().Apps {
		if a.Name == name {
			got = a
		}
	}
	if got.State != state || !strings.Contains(got.Error, word) || word == "" && got.Error != "" {
		p.t.Errorf("%s is %q %q, want %q %q", name, got.State, got.Error, state, word)
	}
}
