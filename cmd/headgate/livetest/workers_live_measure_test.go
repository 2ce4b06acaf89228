package livetest_test

import (
	"testing"
	"time"
)

// TestWorkersFirstAnswer tells how long it is from headgate run to the first answer of
// an app, which is 2 s at most; other tests may run beside it.
func TestWorkersFirstAnswer(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			http := "127.0.0.1:" + freePort(t)
			w := newCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 2\n", http: http})
			w.gateway.http = http
			begin := time.Now()
			w.process = start(t, w.dir, func() bool { _, err := w.get("/"); return err == nil }, headgate, "run", "-c", w.file)
			took := time.Since(begin)
			t.Logf("the first answer after %v", took.Round(time.Millisecond))
			if took > 10*time.Second {
				t.Error("it takes too long")
			}
		})
	}
}
