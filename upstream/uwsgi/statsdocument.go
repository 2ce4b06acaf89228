package uwsgi

import (
	"encoding/json"
	"strings"
	"time"
)

// statsDocument is what has been read of a document, value by value: its parts
// that are of no use are never all in memory.
type statsDocument struct {
	stats   Stats
	workers bool // there is such a list
	emperor bool
	router  bool
}

// passedOver is a value that is not kept.
type passedOver struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (*passedOver) UnmarshalJSON([]byte) error { return nil }

// field reads one name and its value.
func (doc *statsDocument) field(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case "version":
		err := d.Decode(&doc.stats.Version)
		doc.stats.Version = clip(doc.stats.Version)
		return err
	case "listen_queue":
		return d.Decode(&doc.stats.ListenQueue)
	case "sockets":
		return list(d, doc.socket)
	case "workers":
		doc.workers = true
		return list(d, doc.worker)
	case "vassals":
		doc.emperor = true
	case "subscriptions":
		doc.router = true
	}
	return d.Decode(new(passedOver))
}

// list calls read for each value of a list.
func list(d *json.Decoder, read func(*json.Decoder) error) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('[') {
		return errStatsShape
	}
	for n := 0; d.More(); n++ {
		if n == statsItems {
			return errStatsMany
		}
		if err := read(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func (doc *statsDocument) socket(d *json.Decoder) error {
	var s struct {
		Queue    int `json:"queue"`
		MaxQueue int `json:"max_queue"`
	}
	if err := d.Decode(&s); err != nil {
		return err
	}
	doc.stats.Sockets = append(doc.stats.Sockets, SocketStats{Queue: s.Queue, MaxQueue: s.MaxQueue})
	return nil
}

func (doc *statsDocument) worker(d *json.Decoder) error {
	var w struct {
		ID         int    `json:"id"`
		PID        int    `json:"pid"`
		Accepting  int    `json:"accepting"`
		Status     string `json:"status"`
		Requests   int64  `json:"requests"`
		Exceptions int64  `json:"exceptions"`
		Harakiris  int64  `json:"harakiri_count"`
		Respawns   int64  `json:"respawn_count"`
		RSS        int64  `json:"rss"`
		AverageRT  int64  `json:"avg_rt"` // in µs
		Cores      []struct {
			InRequest int `json:"in_request"`
		} `json:"cores"`
	}
	if err := d.Decode(&w); err != nil {
		return err
	}
	out := WorkerStats{
		ID: w.ID, PID: w.PID, Accepting: w.Accepting != 0, Status: clip(w.Status), Requests: w.Requests, Exceptions: w.Exceptions,
		Harakiris: w.Harakiris, Respawns: w.Respawns, RSS: w.RSS, AverageRT: time.Duration(w.AverageRT) * time.Microsecond, Cores: len(w.Cores),
	}
	for _, c := range w.Cores {
		if c.InRequest != 0 {
			out.Busy++
		}
	}
	doc.stats.Workers = append(doc.stats.Workers, out)
	return nil
}

// clip bounds what is kept of a text.
func clip(s string) string { return strings.Clone(s[:min(len(s), 64)]) }

// judge returns an error if it was another document than that of an app.
func (doc *statsDocument) judge() error {
	switch {
	case doc.workers:
		return nil
	case doc.emperor:
		return errStatsEmperor
	case doc.router:
		return errStatsRouter
	}
	return errStatsOther
}
