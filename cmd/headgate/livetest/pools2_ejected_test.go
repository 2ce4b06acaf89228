package livetest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Times of TestEjectedPair.
const (
	pairLength = 9 * time.Second
	pairStops  = 4 * time.Second // the well member
	pairBack   = 6 * time.Second
)

// TestEjectedPair: of two members one is ejected, for its workers die of requests
// or answer with garbage, and then the other one stops for two seconds. What is
// ejected is better than nobody: when it works again by then, it answers.
func TestEjectedPair(t *testing.T) {
	for _, row := range []struct {
		mood  string
		heals bool // before the other one stops
	}{{"die", true}, {"garbage", true}, {"garbage", false}} {
		t.Run(fmt.Sprintf("%s/heals=%v", row.mood, row.heals), func(t *testing.T) {
			t.Parallel()
			all := ejectPair(t, row.mood, row.heals)
			gone := func(o outcome) bool { return o.at > pairStops-time.Second/2 && o.at < pairBack+time.Second/2 }
			for _, o := range all {
				switch {
				case o.ok():
				case !row.heals && gone(o) && o.status == http.StatusBadGateway && strings.Contains(o.body, "is this an answer?"): // nobody works
				default:
					t.Error(o)
				}
			}
			meanwhile := all.where(func(o outcome) bool { return o.at > pairStops+100*time.Millisecond && o.at < pairBack })
			t.Logf("%d of %d GET answered; of %d while the other was gone %d, p50 %v, longest %v", len(all.answered()), len(all),
				len(meanwhile), len(meanwhile.answered()), meanwhile.quantile(0.5), meanwhile.quantile(1))
			if n := len(all) - len(all.answered()); row.heals && n > 3 {
				t.Errorf("%d GET failed", n)
			}
		})
	}
}

func ejectPair(t *testing.T, mood string, heals bool) outcomes {
	t.Helper()
	dir := shortDir(t)
	sick, well := filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")
	write(t, moodOf(sick), mood)
	write(t, moodOf(well), "well")
	startMember(t, sick, "a", 0.01, "--processes", "2")
	b := startMember(t, well, "b", 0.01, "--processes", "2")
	g := startSite(t, poolsConf{
		pools:  fmt.Sprintf("app:\n  members: [\"unix:%s\", \"unix:%s\"]\n  retry: {budget: off}\n", sick, well),
		routes: "{pool: app}",
	})
	shots := poisson(3, 40, pairLength, func(*rand.Rand) shot { return shot{path: "/moody"} })
	done := make(chan outcomes, 1)
	begin := time.Now()
	go func() { done <- shoot(t.Context(), shots, from(t, g.http, 1)) }()
	<-time.After(time.Until(begin.Add(pairStops - time.Second/2)))
	if m := g.pool(t, "app").member("unix:" + sick); m.State != "ejected" && m.State != "trial" {
		t.Errorf("the member whose mood is %s is %s", mood, m.State)
	}
	if heals {
		write(t, moodOf(sick), "well")
	}
	<-time.After(time.Until(begin.Add(pairStops)))
	b.quit(t)
	<-time.After(time.Until(begin.Add(pairBack)))
	startMember(t, well, "b", 0.01, "--processes", "2")
	return <-done
}
