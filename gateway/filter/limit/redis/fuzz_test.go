package redis_test

import (
	"strings"
	"testing"

	"headgate/gateway/filter/limit/redis"
)

// FuzzURL: nothing panics, and no error repeats what may be a password.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"/0", "/0?prefix=x:", ":6379/1", "/x", "?prefix=", "#", "%zz", "@h", "/0?lease=1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		s, err := redis.New("redis://user:hunter2@h"+rest, nil)
		if err == nil {
			s.Close()
			return
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%q: %v", rest, err)
		}
	})
}
