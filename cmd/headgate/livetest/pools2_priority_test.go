package livetest_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

// TestPriority: a route of high priority beside a flood of low ones at a single
// worker. The flood is a third more than it can do; what is high waits for hardly
// more than the request that runs.
func TestPriority(t *testing.T) {
	t.Parallel()
	const nap, length = 20 * time.Millisecond, 6 * time.Second
	p99 := map[string]time.Duration{}
	var high, low outcomes
	for _, priorities := range [][2]string{{"normal", "normal"}, {"high", "low"}} {
		a := startMember(t, filepath.Join(shortDir(t), "a.sock"), "a", nap.Seconds())
		g := startSite(t, poolsConf{
			pools:  fmt.Sprintf("app: {members: [\"unix:%s\"]}\n", a.socket),
			routes: fmt.Sprintf("{path: /checkout, pool: app, priority: %s}, {path: /report, pool: app, priority: %s}", priorities[0], priorities[1]),
		})
		shots := poisson(6, 65, length, func(r *rand.Rand) shot {
			if r.IntN(13) == 0 {
				return shot{path: "/checkout"}
			}
			return shot{path: "/report"}
		})
		all := shoot(t.Context(), shots, from(t, g.http, 1))
		all.wantAll(t)
		high = all.where(func(o outcome) bool { return o.path == "/checkout" })
		low = all.where(func(o outcome) bool { return o.path == "/report" })
		p99[priorities[0]] = high.quantile(0.99)
		t.Logf("/checkout is %s: %d requests, p50 %v, p99 %v; /report is %s: %d requests, p50 %v, p99 %v", priorities[0],
			len(high), high.quantile(0.5), high.quantile(0.99), priorities[1], len(low), low.quantile(0.5), low.quantile(0.99))
	}
	if high.quantile(0.5) > 5*nap || 4*p99["high"] > p99["normal"] || low.quantile(0.99) < 5*p99["high"] {
		t.Errorf("p50 of what is high is %v, p99 %v; p99 of what is low is %v, without priorities %v", high.quantile(0.5), p99["high"], low.quantile(0.99), p99["normal"])
	}
}
