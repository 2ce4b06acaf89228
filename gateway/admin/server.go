package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// stopping is how long answers that are under way may take when a server stops.
const stopping = 2 * time.Second

// ListenMetrics listens on a TCP address for Metrics.
func ListenMetrics(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return ln, nil
}

// serve answers at ln until ctx ends, and closes it. limit bounds the time of a
// request and of its answer; 0 does not. (A read timeout that passes while a
// handler works ends its context.)
func serve(ctx context.Context, ln net.Listener, h http.Handler, limit time.Duration, log *slog.Logger) error {
	base, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var working sync.RWMutex // handlers hold it for reading
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			working.RLock()
			defer working.RUnlock()
			h.ServeHTTP(w, r)
		}),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       limit,
		WriteTimeout:      limit,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(base, stopping)
	defer cancel()
	err := srv.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		giveUp()
		err = srv.Close()
	}
	<-done
	working.Lock()
	defer working.Unlock()
	return err
}
