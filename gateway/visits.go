package gateway

import "sync"

// visits counts the goroutines that speak with clients. Unlike a sync.WaitGroup it
// lets one of them step out for a while, and come back while nobody waits any more.
// The zero value is ready to use.
type visits struct {
	mu    sync.Mutex // guards the fields below
	n     int
	empty chan struct{} // closed when n becomes 0; nil when nobody waits
}

// Go runs f in a goroutine that is counted.
func (v *visits) Go(f func()) {
	v.enter()
	go func() {
		defer v.leave()
		f()
	}()
}

// Wait returns when nobody is counted.
func (v *visits) Wait() {
	v.mu.Lock()
	if v.n == 0 {
		v.mu.Unlock()
		return
	}
	if v.empty == nil {
		v.empty = make(chan struct{})
	}
	empty := v.empty
	v.mu.Unlock()
	<-empty
}

// aside runs f in a goroutine that is counted, and not counted meanwhile.
func (v *visits) aside(f func()) {
	v.leave()
	defer v.enter()
	f()
}

func (v *visits) enter() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.n++
}

func (v *visits) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.n--
	if v.n == 0 && v.empty != nil {
		close(v.empty)
		v.empty = nil
	}
}

// none reports whether nobody is counted.
func (v *visits) none() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.n == 0
}
