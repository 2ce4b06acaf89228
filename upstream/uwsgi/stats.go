package uwsgi

import "time"

// Stats are the statistics of one uWSGI, as far as they are of use to a gateway:
// counts, and nothing of any request.
type Stats struct {
	Version     string
	ListenQueue int // requests in the backlogs of TCP sockets; unix sockets do not tell
	Sockets     []SocketStats
	Workers     []WorkerStats
}

// SocketStats are those of one listening socket; both are 0 for unix sockets.
type SocketStats struct {
	Queue, MaxQueue int
}

// WorkerStats are those of one process.
type WorkerStats struct {
	ID, PID    int           // both are 0 for one that was never started
	Accepting  bool          // it has reached the loop in which it waits for requests
	Status     string        // idle, busy, cheap, pause or sigNN
	Requests   int64         // that it has answered
	Exceptions int64         // of the app
	Harakiris  int64         // requests that were killed for taking too long
	Respawns   int64         // how often it was started
	RSS        int64         // resident memory in bytes; 0 without uWSGI's memory-report
	AverageRT  time.Duration // running average of its response times; the last one weighs half
	Cores      int           // requests that it can run at once; 0 if uWSGI does not say (stats-no-cores)
	Busy       int           // requests that it is running
}

// Alive reports whether the process exists.
func (w *WorkerStats) Alive() bool { return w.PID > 0 && w.Status != "cheap" }

// Cores returns how many requests the workers that are alive can run at once, or
// 0 if uWSGI does not say.
func (s *Stats) Cores() int {
	return s.sum((*WorkerStats).Alive, func(w *WorkerStats) int { return w.Cores })
}

// Accepting returns how many of the cores belong to workers that take requests.
func (s *Stats) Accepting() int {
	accepting := func(w *WorkerStats) bool { return w.Alive() && w.Accepting && w.Status != "pause" }
	return s.sum(accepting, func(w *WorkerStats) int { return w.Cores })
}

// Busy returns how many of the cores are running a request.
func (s *Stats) Busy() int {
	return s.sum((*WorkerStats).Alive, func(w *WorkerStats) int { return w.Busy })
}

func (s *Stats) sum(counts func(*WorkerStats) bool, of func(*WorkerStats) int) (n int) {
	for i := range s.Workers {
		if w := &s.Workers[i]; counts(w) {
			n += of(w)
		}
	}
	return n
}
