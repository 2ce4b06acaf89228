package admin_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

// unknownMember is how a gateway says that a pool has no such member.
type unknownMember struct{ error }

func (unknownMember) NotFound() bool { return true }

func (unknownMember) Names() (string, []string) { return "b:1", []string{"a:1", "unix:/run/a.sock"} }

func TestDrainAndUndrain(t *testing.T) {
	path := socketPath(t)
	type wish struct {
		Pool, Address string
		On            bool
	}
	var wishes []wish
	change := stats.PoolChange{Pool: "web", Member: "unix:/run/a b?&.sock", State: stats.MemberDrained, Changed: true, InFlight: 3, Queued: 2, Up: 1}
	stop := serveAPI(t, &gateway{drain: func(pool, address string, on bool) (stats.PoolChange, error) {
		wishes = append(wishes, wish{pool, address, on})
		if address == "b:1" {
			return stats.PoolChange{}, unknownMember{errors.New(`pool "web" has no member "b:1": it has a:1`)}
		}
		return change, nil
	}}, path)
	c := admin.NewClient(path)
	for _, ask := range []func() (stats.PoolChange, error){
		func() (stats.PoolChange, error) { return c.DrainMember(t.Context(), "web", change.Member) },
		func() (stats.PoolChange, error) { return c.UndrainMember(t.Context(), "web", change.Member) },
	} {
		got, err := ask()
		if d := cmp.Diff(change, got); err != nil || d != "" {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
	}
	if d := cmp.Diff([]wish{{"web", change.Member, true}, {"web", change.Member, false}}, wishes); d != "" {
		t.Errorf("what the gateway was asked (-want +got):\n%s", d)
	}
	_, err := c.DrainMember(t.Context(), "web", "b:1")
	var unknown *admin.UnknownError
	if !errors.As(err, &unknown) {
		t.Fatalf("drain of an unknown member = %v, want an UnknownError", err)
	}
	want := &admin.UnknownError{Text: `pool "web" has no member "b:1": it has a:1`, Asked: "b:1", Known: []string{"a:1", "unix:/run/a.sock"}}
	if d := cmp.Diff(want, unknown); d != "" {
		t.Errorf("unknown member (-want +got):\n%s", d)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPauseAndResume(t *testing.T) {
	path := socketPath(t)
	until := time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC)
	var asked []time.Duration
	stop := serveAPI(t, &gateway{
		pause: func(pool string, d time.Duration) (stats.PoolChange, error) {
			asked = append(asked, d)
			if d < 0 {
				return stats.PoolChange{}, errors.New("a pause of -1s is none")
			}
			return stats.PoolChange{Pool: pool, Changed: true, PausedUntil: until, InFlight: 4}, nil
		},
		resume: func(pool string) (stats.PoolChange, error) {
			return stats.PoolChange{Pool: pool, Queued: 9}, nil
		},
	}, path)
	c := admin.NewClient(path)
	for _, d := range []time.Duration{90 * time.Second, 0} {
		got, err := c.PausePool(t.Context(), "web-1_a.b", d)
		if err != nil || got.Pool != "web-1_a.b" || !got.PausedUntil.Equal(until) || got.InFlight != 4 || !got.Changed {
			t.Errorf("pause = %+v, %v", got, err)
		}
	}
	if _, err := c.PausePool(t.Context(), "web", -time.Second); err == nil || err.Error() != "a pause of -1s is none" {
		t.Errorf("a pause that is none: %v", err)
	}
	if d := cmp.Diff([]time.Duration{90 * time.Second, 0, -time.Second}, asked); d != "" {
		t.Errorf("what the gateway was asked (-want +got):\n%s", d)
	}
	got, err := c.ResumePool(t.Context(), "web")
	if d := cmp.Diff(stats.PoolChange{Pool: "web", Queued: 9}, got); err != nil || d != "" {
		t.Errorf("resume: %v (-want +got):\n%s", err, d)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
