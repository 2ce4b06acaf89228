package compress

// InUse returns the memory of the encoders that are in use.
func (e *Encoders) InUse() int64 { return e.inUse.Load() }

// The lengths of padding, for a test of all of them.
const MaxPadding = maxPadding

// Pad codes body with n bytes of padding.
func (e *Encoders) Pad(name string, level, n int, body []byte, to interface{ Write([]byte) (int, error) }) error {
	enc := e.take(kindOf(name, level))
	defer e.give(enc)
	if err := enc.begin(to, n); err != nil {
		return err
	}
	if _, err := enc.Write(body); err != nil {
		return err
	}
	return enc.Close()
}
