package main

import (
	"slices"
	"time"
)

// Result is what a command prints as JSON. Durations are milliseconds; a
// quantile of fewer than a hundred requests is absent.
type Result struct {
	Requests int      `json:"requests"`          // answered with 200
	Errors   int      `json:"errors"`            // answered otherwise, or not at all
	Why      string   `json:"why,omitempty"`     // the first error
	Resumed  int      `json:"resumed"`           // connections that took up a TLS session
	Seconds  float64  `json:"seconds"`           // from the first request to the last answer
	P50      *float64 `json:"p50_ms"`            //
	P99      *float64 `json:"p99_ms"`            //
	P999     *float64 `json:"p999_ms"`           //
	Max      *float64 `json:"max_ms"`            //
	LateP99  *float64 `json:"late_p99_ms"`       // of rate: from when a request was due until it was sent
	Bytes    int64    `json:"bytes"`             // of bodies
	Version  string   `json:"version,omitempty"` // of TLS
}

// setLatencies fills the quantiles in, and sorts took.
func (r *Result) setLatencies(took []time.Duration) {
	slices.Sort(took)
	r.P50, r.P99, r.P999 = quantile(took, 0.5), quantile(took, 0.99), quantile(took, 0.999)
	r.Max = quantile(took, 1)
}

// quantile returns the q-quantile of a sorted slice in milliseconds.
func quantile(sorted []time.Duration, q float64) *float64 {
	if len(sorted) < 100 {
		return nil
	}
	at := min(len(sorted)-1, int(float64(len(sorted))*q))
	ms := float64(sorted[at]) / float64(time.Millisecond)
	return &ms
}

// fail counts an error, and keeps the first.
func (r *Result) fail(err error) {
	r.Errors++
	if r.Why == "" {
		r.Why = err.Error()
	}
}

// add takes in what another worker of the same command has counted.
func (r *Result) add(o Result) {
	r.Requests += o.Requests
	r.Errors += o.Errors
	r.Resumed += o.Resumed
	r.Bytes += o.Bytes
	if r.Why == "" {
		r.Why = o.Why
	}
	if r.Version == "" {
		r.Version = o.Version
	}
}
