package h3

import "strings"

// defaultUrgency is that of a request without a wish (RFC 9218, 4.1).
const defaultUrgency = 3

// parsePriority reads a priority (RFC 9218, 4): what it does not understand has
// the default.
func parsePriority(wish string) (urgency int8, incremental bool) {
	urgency = defaultUrgency
	for part := range strings.SplitSeq(wish, ",") {
		part, _, _ = strings.Cut(part, ";") // parameters of a parameter: none is known
		name, value, has := strings.Cut(strings.Trim(part, " \t"), "=")
		switch {
		case name == "u" && len(value) == 1 && '0' <= value[0] && value[0] <= '7':
			urgency = int8(value[0] - '0')
		case name == "i" && (!has || value == "?1"):
			incremental = true
		case name == "i" && value == "?0":
			incremental = false
		}
	}
	return urgency, incremental
}
