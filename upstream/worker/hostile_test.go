package worker_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
	"headgate/upstream/worker"
)

// TestScriptIsNoWayOut: the directory of a place belongs to the user of the workers.
// What he puts there must not lead the gateway, which may be root, to files of others.
func TestScriptIsNoWayOut(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(victim, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	f, err := worker.WriteScript(dir, func(place string) {
		if err := os.Symlink(victim, filepath.Join(place, "script")); err != nil {
			t.Fatal(err)
		}
	}, []byte("print()"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "print()" {
		t.Errorf("the script is %q, %v", got, err)
	}
	if is, err := f.Stat(); err != nil || is.Mode() != 0o444 {
		t.Errorf("the script has mode %v, %v", is.Mode(), err)
	}
	got, err := os.ReadFile(victim)
	if err != nil || string(got) != "secret" {
		t.Errorf("the file of another is %q, %v", got, err)
	}
	if is, err := os.Stat(victim); err != nil || is.Mode() != 0o600 {
		t.Errorf("the file of another has mode %v, %v", is.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestDirectoryAmongOthers: who can rename the directory of the sockets could put one of
// his own in its place.
func TestDirectoryAmongOthers(t *testing.T) {
	for name, c := range map[string]struct {
		mode fs.FileMode
		uid  int
		ok   bool
	}{
		"ours":             {0o755, 0, true},
		"anybody's":        {0o777, 0, false},
		"like /tmp":        {0o777 | fs.ModeSticky, 0, true},
		"another user's":   {0o755, 12345, false},
		"another's sticky": {0o777 | fs.ModeSticky, 12345, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.uid != 0 && os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			parent := filepath.Join(shortDir(t), "p")
			if err := os.Mkdir(parent, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(parent, c.mode); err != nil {
				t.Fatal(err)
			}
			if c.uid != 0 {
				if err := os.Chown(parent, c.uid, c.uid); err != nil {
					t.Fatal(err)
				}
			}
			f, err := worker.WriteScript(filepath.Join(parent, "workers"), func(string) {}, nil)
			if err == nil {
				f.Close()
			}
			if (err == nil) != c.ok {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// TestAtOnce: nothing waits for requests or for workers that do not end.
func TestAtOnce(t *testing.T) {
	for _, name := range []string{"busy", "deaf", "starting", "leaving", "buried"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				st := newStand(t, func(s *worker.Setup) { s.AtOnce = stop })
				switch name {
				case "deaf":
					st.m.with(behaviour{deaf: true})
				case "starting":
					st.m.with(behaviour{after: time.Hour, deaf: true})
				case "buried":
					st.m.standard.dies, st.m.standard.orphans = time.Second, time.Hour
				}
				st.run(shop)
				after(500 * time.Millisecond)
				if name != "deaf" && name != "starting" {
					st.pool.busy(1, 1)
				}
				if name == "leaving" {
					go st.Reload(t.Context())
				}
				after(time.Second)
				time.AfterFunc(2*time.Second, func() { close(stop) })
				begun := time.Now()
				st.end()
				if d := time.Since(begun); d > 2500*time.Millisecond {
					t.Errorf("took %s", d)
				}
				if left := st.m.alive(); len(left) > 0 {
					t.Errorf("%d are left", len(left))
				}
			})
		})
	}
}

// TestEndWithPool: at the end of Run a pool that goes on with other members does not
// keep the workers, and one that keeps them for requests that wait does.
func TestEndWithPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, done := "", time.Now().Add(3*time.Second)
		st := newStand(t, func(s *worker.Setup) {
			s.Drained = func(address string) bool { asked = address; return time.Now().After(done) }
		})
		st.run(shop)
		member := st.pool.members[0].Address
		st.pool.busy(5, 5) // at others
		st.end()
		if d := time.Since(done); d < 0 || d > time.Second || asked != member {
			t.Errorf("ended %s after that, asked for %s", d, asked)
		}
	})
}

// TestEndBeforePlace: Run ends well where there was never a socket.
func TestEndBeforePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t, func(s *worker.Setup) {
			s.Drained = func(string) bool { return true }
			s.Dir = shortDir(t) + strings.Repeat("/x", 100) // too long for a socket
		})
		st.run(shop)
		after(time.Second)
		st.end()
	})
}

// TestUnfit: only who replaces others is asked whether he is fit for it.
func TestUnfit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		st := newStand(t, func(s *worker.Setup) {
			s.Fit = func(_ context.Context, m upstream.Member) error {
				if asked++; m.Address == "" {
					t.Error("it has no address")
				}
				return errors.New("status 500")
			}
		})
		st.run(shop)
		after(time.Second)
		old := st.pool.names()
		if asked > 0 || old == "" {
			t.Fatalf("asked %d times, members %q", asked, old)
		}
		err := st.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), "status 500") {
			t.Errorf("Reload() = %v", err)
		}
		if now := st.pool.names(); now != old || asked == 0 {
			t.Errorf("asked %d times, members %q, before %q", asked, now, old)
		}
		st.end()
	})
}
