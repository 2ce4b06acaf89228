package coding

// whole is the weight 1.
const whole = 1000

// element parses one element of the list: a name and perhaps a weight, in
// thousandths. It is not ok if it is empty or its weight is none (RFC 9110, 12.4.2).
func element(s string) (name string, q int, ok bool) {
	end := index(s, ';')
	name, q = trim(s[:end]), whole
	for ok = name != ""; ok && end < len(s); {
		s = s[end+1:]
		end = index(s, ';')
		if p := trim(s[:end]); len(p) >= 2 && p[0]|0x20 == 'q' && p[1] == '=' {
			q, ok = weight(p[2:])
		}
	}
	return name, q, ok
}

// weight parses a qvalue: 0 or 1 with at most three decimals.
func weight(s string) (q int, ok bool) {
	if s == "" || len(s) > len("0.000") || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	q = int(s[0]-'0') * whole
	for i, unit := 2, whole/10; i < len(s); i, unit = i+1, unit/10 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		q += int(s[i]-'0') * unit
	}
	return q, q <= whole
}

// index returns where c is in s, or the end of s.
func index(s string, c byte) int {
	for i := range len(s) {
		if s[i] == c {
			return i
		}
	}
	return len(s)
}

// trim takes white space from both ends of s.
func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
