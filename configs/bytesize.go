package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes.
type ByteSize int64

// Units of ByteSize.
const (
	Byte ByteSize = 1
	KiB           = 1024 * Byte
	MiB           = 1024 * KiB
	GiB           = 1024 * MiB
	TiB           = 1024 * GiB
)

// byteUnits are the units that are read; the binary ones, largest first, are also written.
var byteUnits = []struct {
	name string
	size ByteSize
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3},
	{"B", Byte}, // last: every other unit ends in it
}

// ParseByteSize reads a whole number with a unit: 50GiB, 64 MiB, 512KiB, 10GB, 100B; without a unit it counts bytes.
func ParseByteSize(text string) (ByteSize, error) {
	wrong := &fault{
		problem: fmt.Sprintf("%q is no size", text),
		remedy:  "write a whole number with KiB, MiB, GiB or TiB, such as 64MiB",
	}
	digits, unit := strings.TrimSpace(text), Byte
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, wrong
	}
	if ByteSize(n) > math.MaxInt64/unit {
		wrong.problem = fmt.Sprintf("%q is larger than any disk", text)
		return 0, wrong
	}
	return ByteSize(n) * unit, nil
}

// String writes the size with the largest unit that divides it, so that ParseByteSize reads the same size.
func (b ByteSize) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText writes the size as String does.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
