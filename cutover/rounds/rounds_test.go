package rounds

import (
	"testing"
	"time"
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// of is a window of rounds that ended a second before now.
func of(now time.Time, took ...int) *Window {
	w := &Window{}
	end := now.Add(-time.Second)
	for _, n := range took {
		w.ended = append(w.ended, round{end.Add(-ms(n)), end})
	}
	return w
}

func TestAHighPercentileOfTheLastRoundsIsExpected(t *testing.T) {
	now := time.Now()
	for what, c := range map[string]struct {
		w     *Window
		high  time.Duration
		known int
	}{
		"none":                            {of(now), 0, 0},
		"one":                             {of(now, 30), ms(30), 1},
		"of few the longest":              {of(now, 30, 500, 20), ms(500), 3},
		"one straggler among many":        {of(now, 10, 11, 12, 13, 14, 15, 16, 17, 18, 900), ms(18), 10},
		"two stragglers are a tenth":      {of(now, 10, 11, 12, 13, 14, 15, 16, 17, 800, 900), ms(800), 10},
		"those of half a minute ago gone": {of(now.Add(-30*time.Second), 30, 40), 0, 0},
	} {
		if high, known := c.w.high(now); high != c.high || known != c.known {
			t.Errorf("%s: %v of %d rounds, want %v of %d", what, high, known, c.high, c.known)
		}
	}
}

func TestARoundThatDoesNotComeBackCountsAsLongAsItLasts(t *testing.T) {
	w := of(time.Now(), 10, 20)
	end := w.Begin()
	later := time.Now().Add(time.Hour)
	if high, _ := w.high(later); high < time.Hour-time.Minute {
		t.Errorf("with a round stuck for an hour %v are expected", high)
	}
	end(false)
	if high, known := w.high(time.Now()); high != ms(20) || known != 2 {
		t.Errorf("a round that was given up counts: %v of %d", high, known)
	}
	for range 3 * most {
		w.Begin()(true)
	}
	if high, known := w.high(time.Now()); known != most || high == ms(20) || len(w.running) != 0 {
		t.Errorf("%v of %d rounds, %d run", high, known, len(w.running))
	}
}
