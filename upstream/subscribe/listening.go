package subscribe

// Listening is what Open has made: the caller gives it to Use, or closes it.
type Listening struct {
	options Options
	rules   rules
	keyring *keyring
	fresh   map[place]*socket
}

// Close gives back what was opened and is not in use. After Use it does nothing.
func (l *Listening) Close() {
	if l == nil {
		return
	}
	for _, k := range l.fresh {
		k.close()
	}
	l.fresh = nil
}
