package cutover

import (
	"encoding/json"
	"math"
	"strconv"
)

// Number counts the values of a sequence in the direction in which it goes, whatever its bounds: so every generator only rises, and 0 stands for none. The last of all values shares its number
// with the one before it: no sequence goes on from either.
func Number(value int64, down bool) uint64 {
	n := uint64(value) ^ 1<<63 // the lowest is 0
	if down {
		n = ^n
	}
	if n == math.MaxUint64 {
		return n
	}
	return n + 1
}

// ValueOf is the value that a number stands for, which is not 0.
func ValueOf(n uint64, down bool) int64 {
	if n--; down {
		n = ^n
	}
	return int64(n ^ 1<<63)
}

// Value writes a number of the sequence as its users see it.
func (s *Sequence) Value(n uint64) json.Number {
	if s.Free {
		return json.Number(strconv.FormatInt(ValueOf(n, s.Down), 10))
	}
	return json.Number(strconv.FormatUint(n, 10))
}

// ahead is where a sequence is to stand: the margin is in calls, keeps the distance between values, and takes no more than half of what is left, but one call if there is one:
// numbers are drawn behind the fence too, and MySQL shows one less until a table is opened after a crash.
func (s *Sequence) ahead(margin uint64) uint64 {
	step := max(s.Step, 1)
	if s.Last >= s.Max || s.Max-s.Last < step {
		return s.Last
	}
	return s.Last + step*min(margin, max(1, (s.Max-s.Last)/2/step))
}
