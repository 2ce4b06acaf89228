package config

import "headgate/gateway/notation"

// Size is a number of bytes, see notation.Size.
type Size = notation.Size

// Off is the Size that means no limit or none of it; see each key.
const Off = notation.Off

// Units of sizes.
const (
	KiB = notation.KiB
	MiB = notation.MiB
	GiB = notation.GiB
)
