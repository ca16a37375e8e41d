package cutover

import (
	"math"
	"testing"
)

// The numbers of a sequence rise with its values in the direction in which it goes, and stand for them.
func TestTheNumbersOfASequenceRiseInItsDirection(t *testing.T) {
	values := []int64{math.MinInt64 + 1, -1 << 40, -2, -1, 0, 1, 2, 1 << 40, math.MaxInt64 - 1}
	for i, v := range values {
		for _, down := range []bool{false, true} {
			n := Number(v, down)
			if n == 0 || ValueOf(n, down) != v {
				t.Errorf("%d, down %v: number %d, which is %d", v, down, n, ValueOf(n, down))
			}
			if i > 0 && (n > Number(values[i-1], down)) == down {
				t.Errorf("%d does not come after %d, down %v", v, values[i-1], down)
			}
		}
	}
}

// The margin never uses up a sequence, nor leaves the values that its increment reaches.
func TestTheMarginLeavesASequenceItsNumbers(t *testing.T) {
	for _, c := range []struct {
		s    Sequence
		want uint64
	}{
		{Sequence{Last: 500, Max: 1 << 40}, 1500},
		{Sequence{Last: 100, Max: 127}, 113},
		{Sequence{Last: 126, Max: 127}, 127},
		{Sequence{Last: 127, Max: 127}, 127},
		{Sequence{Last: 500, Max: 1 << 40, Step: 50}, 50500},
		{Sequence{Last: 7, Max: math.MaxUint64, Step: 1 << 62}, 7 + 1<<62},
		{Sequence{Last: math.MaxUint64 - 3, Max: math.MaxUint64}, math.MaxUint64 - 2},
	} {
		if got := c.s.ahead(1000); got != c.want {
			t.Errorf("%+v: %d", c.s, got)
		}
	}
}
