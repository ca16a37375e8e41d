package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Measures that a guard can look at.
const (
	MeasureLag         = "lag"
	MeasureErrorRate   = "error_rate"
	MeasureDuration    = "duration"
	MeasureDifferences = "differences"
)

// Actions of a guard.
const (
	GuardPause    = "pause"
	GuardRollback = "rollback"
	GuardWarn     = "warn"
	GuardHold     = "hold"
)

// DefaultGuards hold where the configuration has no list. That of error_rate is off until it is given a probe.
func DefaultGuards() []Guard {
	return []Guard{
		{When: "lag > 5s", For: 10 * time.Second, Do: GuardPause},
		{When: "error_rate > 1%", Do: GuardRollback},
		{When: "duration > 2x", Do: GuardWarn},
		{When: "differences > 0", Do: GuardHold},
	}
}

// Condition is the condition of a guard, read.
type Condition struct {
	Measure string
	// Limit in seconds of lag, as a share of the probes from 0 to 1, in times of the estimate, or in rows that differ.
	Limit float64
}

var (
	guardCondition = regexp.MustCompile(`^(lag|error_rate|duration|differences)\s*>\s*(\S+)$`)
	guardRemedy    = "write lag > 5s, error_rate > 1%, duration > 2x or differences > 0"
)

// Condition reads When. Its error is a *Mistake that does not know its place in the file.
func (g Guard) Condition() (Condition, error) {
	wrong := &Mistake{Path: "when", Problem: fmt.Sprintf("%q is no condition", g.When), Remedy: guardRemedy}
	m := guardCondition.FindStringSubmatch(g.When)
	if m == nil {
		return Condition{}, wrong
	}
	limit, ok := guardLimit(m[1], m[2])
	if !ok {
		return Condition{}, wrong
	}
	return Condition{m[1], limit}, nil
}

// guardLimit reads a limit of the kind that the measure takes.
func guardLimit(measure, text string) (limit float64, ok bool) {
	number := func(unit string) (float64, bool) {
		digits, ok := strings.CutSuffix(text, unit)
		n, err := strconv.ParseFloat(digits, 64)
		return n, ok && err == nil && n >= 0 && n <= 1e9
	}
	switch measure {
	case MeasureLag:
		d, err := time.ParseDuration(text)
		return d.Seconds(), err == nil && d >= 0
	case MeasureErrorRate:
		n, ok := number("%")
		return n / 100, ok
	case MeasureDuration:
		return number("x")
	case MeasureDifferences:
		n, err := strconv.ParseUint(text, 10, 63)
		return float64(n), err == nil
	default:
		return 0, false
	}
}

func (g Guard) check(ms *mistakes, path string) {
	measure := ""
	if required(ms, path+".when", g.When, guardRemedy) {
		c, err := g.Condition()
		if err != nil {
			ms.add(path+".when", fmt.Sprintf("%q is no condition", g.When), guardRemedy)
		}
		measure = c.Measure
	}
	if g.For < 0 {
		ms.add(path+".for", g.For.String()+" is below 0", "give a duration such as 10s")
	}
	if required(ms, path+".do", g.Do, "use pause, rollback, warn or hold") {
		oneOf(ms, path+".do", g.Do, GuardPause, GuardRollback, GuardWarn, GuardHold)
	}
	if measure == MeasureDifferences && g.Do == GuardRollback {
		ms.add(path+".do", "a difference never starts a rollback, which would serve the copy that differs", "use hold: before the decision it aborts, in the soak it holds and pages")
	}
	if measure != "" && measure != MeasureErrorRate && !g.Probe.HTTP.IsZero() {
		ms.add(path+".probe", "measures error_rate, and the condition is of "+measure, "remove it")
	}
}
