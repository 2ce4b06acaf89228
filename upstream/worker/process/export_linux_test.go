package process

// ParseStat reads /proc/PID/stat.
func ParseStat(b []byte) (parent, group, session int, zombie, ok bool) {
	k, ok := parseStat(1, b)
	return k.parent, k.group, k.session, k.zombie, ok
}
