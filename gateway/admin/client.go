package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"headgate/gateway/stats"
)

// maxAnswer bounds what a client reads.
const maxAnswer = 64 << 20

// ErrNotRunning is returned by a Client when nobody listens on the socket.
var ErrNotRunning = errors.New("no headgate is running")

// Client asks the API of a running gateway. Its methods may be called by any
// number of goroutines at once, and take as long as their context lets them.
// Use NewClient.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a Client for the socket at path. It does not connect yet.
func NewClient(path string) *Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
	}}}
}

// Reload makes the gateway load its configuration again, and waits for the
// result. What is wrong with the configuration is in the result; the error says
// that the gateway could not be asked.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	var result ReloadResult
	status, err := c.do(ctx, http.MethodPost, "/v1/reload", &result)
	if status == http.StatusUnprocessableEntity {
		err = nil
	}
	return result, err
}

// Status returns what the gateway knows of itself.
func (c *Client) Status(ctx context.Context) (stats.Snapshot, error) {
	var s stats.Snapshot
	_, err := c.do(ctx, http.MethodGet, "/v1/status", &s)
	return s, err
}

// do sends a request and decodes the answer, whatever its status is, into v.
func (c *Client) do(ctx context.Context, method, path string, v any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://headgate"+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, c.explain(err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, fmt.Errorf("the answer of headgate at %s was cut: %w", c.socket, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return 0, fmt.Errorf("whoever answers at %s (status %d) is not this headgate: %w", c.socket, resp.StatusCode, err)
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, refusal(resp.StatusCode, body)
	}
	return resp.StatusCode, nil
}

// refusal returns the error that an answer holds.
func refusal(status int, body []byte) error {
	var f failure
	if err := json.Unmarshal(bytes.TrimSpace(body), &f); err != nil || f.Error == "" {
		return fmt.Errorf("headgate answers with status %d", status)
	}
	if f.Asked != "" {
		return &UnknownError{Text: f.Error, Asked: f.Asked, Known: f.Known}
	}
	return errors.New(f.Error)
}

// explain says what an error of the connection means, and what to do.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("headgate at %s has not answered: %w", c.socket, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w (no socket at %s); start it with headgate run", ErrNotRunning, c.socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (nobody listens at %s any more); start it with headgate run", ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the admin socket %s may not be opened: it is for the user that runs headgate; use sudo, or sudo -u with that user", c.socket)
	}
	return fmt.Errorf("headgate at %s: %w", c.socket, err)
}
