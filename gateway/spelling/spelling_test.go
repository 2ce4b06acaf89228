package spelling_test

import (
	"strings"
	"testing"

	"headgate/gateway/spelling"
)

func TestNearest(t *testing.T) {
	names := []string{"members", "balance", "queue", "retry", "slots", "slow_start"}
	for _, row := range []struct{ word, nearest, similar string }{
		{"memebrs", "members", "members"}, // two letters swapped
		{"Member", "members", "members"},
		{"slot", "slots", "slots"},
		{"bal", "balance", ""}, // its beginning
		{"retries", "", ""},
		{"slow_start_time", "slow_start", ""},
		{"ab", "", ""},
		{"", "", ""},
		{strings.Repeat("members", 20), "", ""},
	} {
		if got := spelling.Nearest(row.word, names); got != row.nearest {
			t.Errorf("Nearest(%.20q) = %q, want %q", row.word, got, row.nearest)
		}
		if got := spelling.Similar(row.word, names); got != row.similar {
			t.Errorf("Similar(%.20q) = %q, want %q", row.word, got, row.similar)
		}
	}
}
