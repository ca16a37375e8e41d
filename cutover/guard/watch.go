package guard

import (
	"fmt"
	"time"
)

// Measure is what a guard looks at.
type Measure string

const (
	Lag         Measure = "lag"         // how far the side that is kept current is behind, in seconds
	ErrorRate   Measure = "error_rate"  // share of the probes that were not answered well, from 0 to 1
	Duration    Measure = "duration"    // the write pause so far, in times of the pause that the go/no-go predicted
	Differences Measure = "differences" // rows known to differ
)

// Text writes a value of the measure.
func (m Measure) Text(v float64) string {
	switch m {
	case Lag:
		return fmt.Sprintf("%.1fs", v)
	case ErrorRate:
		return fmt.Sprintf("%.1f%%", 100*v)
	case Duration:
		return fmt.Sprintf("%.1fx", v)
	case Differences:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprint(v)
	}
}

// Rule is a guard as it is configured.
type Rule struct {
	When    string // the condition as it is written: the name of the guard
	Measure Measure
	Limit   float64 // in the unit of the measure; the condition is that the value is above it
	For     time.Duration
	Do      Action
}

// Sample is what is measured at one moment; nil: not known, or not a thing of the moment.
type Sample struct {
	At                                    time.Time
	Lag, ErrorRate, Duration, Differences *float64
}

func (s Sample) of(m Measure) *float64 {
	switch m {
	case Lag:
		return s.Lag
	case ErrorRate:
		return s.ErrorRate
	case Duration:
		return s.Duration
	case Differences:
		return s.Differences
	default:
		return nil
	}
}

// Event is what a sample has changed.
type Event uint8

const (
	Nothing Event = iota
	Tripped       // the condition has held for long enough
	Ended         // it was, and it has ended
)

// Watch follows one rule over the samples.
type Watch struct {
	Rule
	since   time.Time // the condition holds since; zero: it does not
	tripped bool
	value   float64
}

// Observe takes the next sample. A gap in what is known is no time in which the condition held; but what has tripped ends only once it is known to have ended.
func (w *Watch) Observe(s Sample) Event {
	v := s.of(w.Measure)
	switch {
	case v == nil && w.tripped:
		return Nothing
	case v == nil || !(*v > w.Limit):
		was := w.tripped
		w.Reset()
		if was {
			return Ended
		}
		return Nothing
	}
	w.value = *v
	if w.since.IsZero() || s.At.Before(w.since) { // a clock that was set back begins anew
		w.since = s.At
	}
	if w.tripped || s.At.Sub(w.since) < w.For {
		return Nothing
	}
	w.tripped = true
	return Tripped
}

// Reset forgets what was seen: what is measured from now on is another thing.
func (w *Watch) Reset() { w.since, w.tripped, w.value = time.Time{}, false, 0 }

// Stands reports whether the condition has held for long enough and has not ended since.
func (w *Watch) Stands() bool { return w.tripped }

// Value is the last one beyond the limit, as text.
func (w *Watch) Value() string { return w.Measure.Text(w.value) }
