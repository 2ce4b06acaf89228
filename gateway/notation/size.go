package notation

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. In a file it is a plain number or has a unit: KiB,
// MiB and GiB are powers of 1024, kB, MB and GB are powers of 1000. The zero
// value is the default of its key; Off is none.
type Size int64

// Off is the Size that means no limit or none of it; see each key.
const Off Size = -1

// Units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var errSize = errors.New("not a size")

type sizeUnit struct {
	name string
	size Size
}

// sizeUnits are in the order in which String and ParseSize try them.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"GiB", GiB},
		{"MiB", MiB},
		{"KiB", KiB},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"KB", 1e3},
		{"G", GiB},
		{"M", MiB},
		{"K", KiB},
		{"g", GiB},
		{"m", MiB},
		{"k", KiB},
		{"B", 1},
		{"", 1},
	}
}

// ParseSize reads a size such as 64KiB, 1.5 MiB, 10m (as in nginx) or 4096, and
// off.
func ParseSize(s string) (Size, error) {
	if s == "off" {
		return Off, nil
	}
	for _, u := range sizeUnits() {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		bytes := f * float64(u.size)
		if err != nil || strings.ContainsAny(digits, "eExXpP_+-nN") || bytes != math.Trunc(bytes) || bytes >= math.MaxInt64 {
			return 0, fmt.Errorf("%w: %q", errSize, s)
		}
		return Size(bytes), nil
	}
	return 0, fmt.Errorf("%w: %q", errSize, s)
}

// String returns the size in the biggest unit that is exact.
func (s Size) String() string {
	if s < 0 {
		return "off"
	}
	for _, u := range sizeUnits()[:3] {
		if s > 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseSize.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := ParseSize(string(text))
	if err == nil {
		*s = n
	}
	return err
}
