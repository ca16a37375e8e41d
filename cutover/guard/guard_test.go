package guard

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestAConditionTripsOnceItHasHeldLongEnoughAndEndsWhenItIsKnownTo(t *testing.T) {
	const unknown = -1
	type step struct {
		at    int // seconds
		value float64
		want  Event
	}
	for name, c := range map[string]struct {
		rule  Rule
		steps []step
	}{
		"at once":                  {Rule{Measure: Differences}, []step{{0, 0, Nothing}, {1, 1, Tripped}, {2, 5, Nothing}, {3, 0, Ended}, {4, 0, Nothing}, {5, 2, Tripped}}},
		"the limit is not above":   {Rule{Measure: Lag, Limit: 5}, []step{{0, 5, Nothing}, {1, 5.001, Tripped}, {2, 5, Ended}}},
		"for a while":              {Rule{Measure: Lag, Limit: 5, For: 10 * time.Second}, []step{{0, 6, Nothing}, {9, 6, Nothing}, {10, 6, Tripped}, {11, 6, Nothing}, {12, 1, Ended}}},
		"broken off":               {Rule{Measure: Lag, Limit: 5, For: 10 * time.Second}, []step{{0, 6, Nothing}, {9, 5, Nothing}, {10, 6, Nothing}, {19, 6, Nothing}, {20, 6, Tripped}}},
		"a gap is no time":         {Rule{Measure: ErrorRate, Limit: 0.01, For: 2 * time.Second}, []step{{0, 1, Nothing}, {1, unknown, Nothing}, {2, 1, Nothing}, {3, 1, Nothing}, {4, 1, Tripped}}},
		"unknown is no end":        {Rule{Measure: Lag, Limit: 5}, []step{{0, 6, Tripped}, {1, unknown, Nothing}, {2, 6, Nothing}, {3, unknown, Nothing}, {4, 2, Ended}}},
		"a clock that is set back": {Rule{Measure: Duration, Limit: 2, For: 5 * time.Second}, []step{{10, 3, Nothing}, {1, 3, Nothing}, {5, 3, Nothing}, {6, 3, Tripped}}},
	} {
		w := Watch{Rule: c.rule}
		for _, s := range c.steps {
			sample := Sample{At: start.Add(time.Duration(s.at) * time.Second)}
			if s.value != unknown {
				sample = with(sample, c.rule.Measure, s.value)
			}
			if got := w.Observe(sample); got != s.want {
				t.Errorf("%s: at %d s with %v: event %d, want %d", name, s.at, s.value, got, s.want)
			}
		}
	}
}

func with(s Sample, m Measure, v float64) Sample {
	switch m {
	case Lag:
		s.Lag = &v
	case ErrorRate:
		s.ErrorRate = &v
	case Duration:
		s.Duration = &v
	case Differences:
		s.Differences = &v
	}
	return s
}

// A guard stands exactly when it has tripped and was not known to be fine since; and it trips exactly at the end of an unbroken row of samples beyond the limit
// that spans its time.
func TestAGuardStandsExactlyWhenItsSamplesSaySo(t *testing.T) {
	measures := []Measure{Lag, ErrorRate, Duration, Differences}
	rapid.Check(t, func(rt *rapid.T) {
		rule := Rule{Measure: rapid.SampledFrom(measures).Draw(rt, "measure"), Limit: 2, For: time.Duration(rapid.IntRange(0, 4).Draw(rt, "for")) * time.Second}
		w := Watch{Rule: rule}
		var seen []Sample
		at := start
		stands := false
		for range rapid.IntRange(1, 40).Draw(rt, "samples") {
			at = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "step")) * time.Second)
			s := Sample{At: at}
			for _, m := range measures { // what other measures say must not matter
				if v := rapid.IntRange(-1, 4).Draw(rt, string(m)); v >= 0 {
					s = with(s, m, float64(v))
				}
			}
			seen = append(seen, s)
			beyond := func(s Sample) bool { v := s.of(rule.Measure); return v != nil && *v > rule.Limit }
			first := len(seen)
			for first > 0 && beyond(seen[first-1]) {
				first--
			}
			long := first < len(seen) && at.Sub(seen[first].At) >= rule.For
			want := Nothing
			switch v := s.of(rule.Measure); {
			case stands && v != nil && *v <= rule.Limit:
				want, stands = Ended, false
			case !stands && long:
				want, stands = Tripped, true
			}
			if got := w.Observe(s); got != want || w.Stands() != stands {
				rt.Fatalf("sample %d: event %d and stands %v, want %d and %v", len(seen), got, w.Stands(), want, stands)
			}
		}
	})
}

func TestWhatAGuardComesToInEachStage(t *testing.T) {
	stages := []Stage{Away, Before, Attempt, Soak, Return}
	for _, c := range []struct {
		rule Rule
		want [5]Decision
	}{
		{Rule{Measure: Lag, Do: Pause}, [5]Decision{None, Paused, Paused, None, None}},
		{Rule{Measure: ErrorRate, Do: Pause}, [5]Decision{None, Paused, Paused, None, None}},
		{Rule{Measure: ErrorRate, Do: Rollback}, [5]Decision{None, NoGo, Aborted, RolledBack, None}},
		{Rule{Measure: Duration, Do: Warn}, [5]Decision{None, Warned, Warned, Warned, Warned}},
		{Rule{Measure: Differences, Do: Hold}, [5]Decision{None, NoGo, Aborted, Held, Held}},
		{Rule{Measure: Lag, Do: Hold}, [5]Decision{None, Held, Held, Held, Held}},
	} {
		for i, s := range stages {
			if got := c.rule.Decide(s); got != c.want[i] {
				t.Errorf("%s do %s in stage %q: %q, want %q", c.rule.Measure, c.rule.Do, s, got, c.want[i])
			}
		}
	}
}

func TestTheErrorRateIsTheShareOfTheLastMinuteOnceThereAreEnoughProbes(t *testing.T) {
	p := NewProber("http://unused")
	bad := errors.New("bad")
	for i := range Least - 1 {
		p.note(0, start.Add(time.Duration(i)*time.Second), bad)
	}
	if r := p.Rate(start.Add(time.Duration(Least) * time.Second)); r != nil {
		t.Errorf("a rate of %v from %d probes", *r, Least-1)
	}
	for i := Least - 1; i < 60; i++ {
		p.note(0, start.Add(time.Duration(i)*time.Second), nil)
	}
	if r := p.Rate(start.Add(59 * time.Second)); r == nil || *r != float64(Least-1)/60 {
		t.Errorf("rate %v, want %d of 60", r, Least-1)
	}
	if r := p.Rate(start.Add(59*time.Second + Window/2)); r == nil || *r != 0 {
		t.Errorf("what is older than the window counts: %v", r)
	}
	if r := p.Rate(start.Add(3 * Window)); r != nil {
		t.Errorf("a rate of %v from probes that are all too old", *r)
	}
	for i := range 20 {
		p.note(0, start.Add(time.Duration(200+i)*time.Second), nil)
	}
	p.Reset()
	p.note(0, start.Add(220*time.Second), bad) // was asked before
	if r := p.Rate(start.Add(221 * time.Second)); r != nil || p.Problem() != "" {
		t.Errorf("after a reset: rate %v, problem %q", r, p.Problem())
	}
}
