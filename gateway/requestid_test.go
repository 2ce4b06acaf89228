package gateway_test

import (
	"strings"
	"testing"
	"time"

	"headgate/gateway"
)

func TestFindRequestID(t *testing.T) {
	const made = "5d41402abc4b2a76b9719d911017c592"
	for line, want := range map[string]string{
		"request_id=abc-1 done":                  "abc-1",
		`{"request_id": "q.7", "level": "info"}`: "q.7",
		"X-Request-Id: 77":                       "77",
		"HTTP_X_REQUEST_ID=up":                   "up",
		"requestId=7.":                           "7",
		"request id [8f3c]":                      "8f3c",
		"GET / " + made + " 200":                 made,
		"no request id " + made:                  made,
		"request id not found in the header":     "",
		"the request id is missing":              "",
		"request identity=5":                     "",
		"request ids: 5":                         "",
		"x" + made:                               "",
		strings.ToUpper(made):                    "",
		"request_id=" + strings.Repeat("a", 129): "",
		"request_id=\x1b[31mred":                 "",
		"request_id=":                            "",
		"a request":                              "",
		"request_":                               "",
		"":                                       "",
	} {
		if got := gateway.FindRequestID([]byte(line)); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// FuzzFindRequestID: what is found is in the line and can be logged, and finding it
// takes no longer than reading the line.
func FuzzFindRequestID(f *testing.F) {
	for _, seed := range []string{"request_id=1", strings.Repeat("request_id", 800), strings.Repeat("request_", 1000) + "=", strings.Repeat("f", 8192)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 8192 {
			line = line[:8192]
		}
		begun := time.Now()
		id := gateway.FindRequestID([]byte(line))
		if d := time.Since(begun); d > time.Second {
			t.Errorf("took %s", d)
		}
		if !strings.Contains(line, id) || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
			t.Errorf("%q", id)
		}
	})
}
