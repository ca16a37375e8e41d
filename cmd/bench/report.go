package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// sample is one measurement.
type sample struct {
	Took time.Duration `json:"took_ns"`
	Rows int           `json:"rows"`
	CPU  cpu           `json:"cpu_ns"`
}

func (s sample) rate() float64 { return float64(s.Rows) / s.Took.Seconds() }

// micros is processor time for one row.
func (s sample) micros(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(s.Rows)
}

func (s sample) String() string {
	return fmt.Sprintf("%7.2f s, %8.0f rows/s, CPU %6.2f µs a row (source %.2f, mover %.2f, target %.2f)", s.Took.Seconds(), s.rate(),
		s.micros(s.CPU.sum()), s.micros(s.CPU.Source), s.micros(s.CPU.Mover), s.micros(s.CPU.Target))
}

// result is all measurements. What has the same index in Limit and Snapshot, and in Subscription and CatchUp, was measured side by side.
type result struct {
	Plan         plan     `json:"plan"`
	Machine      string   `json:"machine"`
	Versions     []string `json:"versions"`
	Limit        []sample `json:"limit"`
	Snapshot     []sample `json:"snapshot"`
	Subscription []sample `json:"subscription"`
	CatchUp      []sample `json:"catch_up"`
	Pauses       []series `json:"pauses"`
}

// Goals of this version, as ratios to the reference.
const (
	snapshotGoal = 0.5
	catchUpGoal  = 1.3
)

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

func medianOf(samples []sample, f func(sample) float64) float64 {
	var v []float64
	for _, s := range samples {
		v = append(v, f(s))
	}
	return median(v)
}

// ratio is the median of the ratios of what was measured side by side.
func ratio(own, reference []sample) float64 {
	if len(own) == 0 {
		return 0
	}
	var v []float64
	for i := range own {
		v = append(v, own[i].rate()/reference[i].rate())
	}
	return median(v)
}

func (r *result) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		*result
		SnapshotRatio float64 `json:"snapshot_ratio,omitempty"`
		SnapshotGoal  float64 `json:"snapshot_goal"`
		CatchUpRatio  float64 `json:"catch_up_ratio,omitempty"`
		CatchUpGoal   float64 `json:"catch_up_goal"`
	}{r, ratio(r.Snapshot, r.Limit), snapshotGoal, ratio(r.CatchUp, r.Subscription), catchUpGoal})
}

func (r *result) write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s; %s\nmedians of %d\n", r.Machine, strings.Join(r.Versions, ", "), r.Plan.Rounds)
	block := func(title, reference string, ref, own []sample, goal float64) {
		if len(own) == 0 {
			return
		}
		most := max(medianOf(ref, sample.rate), medianOf(own, sample.rate))
		fmt.Fprintf(&b, "\n%-43s %9s %7s  %s\n", title, "rows/s", "ratio", "CPU µs a row (source + mover + target)")
		row := func(name string, s []sample, ratio float64) {
			rate := medianOf(s, sample.rate)
			part := func(f func(cpu) time.Duration) float64 {
				return medianOf(s, func(s sample) float64 { return s.micros(f(s.CPU)) })
			}
			fmt.Fprintf(&b, "  %-20s %-20s %9.0f %7.2f  %6.2f (%.2f + %.2f + %.2f)\n", name, bar(rate/most, 20), rate, ratio, part(cpu.sum),
				part(func(c cpu) time.Duration { return c.Source }), part(func(c cpu) time.Duration { return c.Mover }), part(func(c cpu) time.Duration { return c.Target }))
		}
		row(reference, ref, 1)
		got := ratio(own, ref)
		row("crossfade", own, got)
		reached := "reached"
		if got < goal {
			reached = "not reached"
		}
		fmt.Fprintf(&b, "  goal %.1f of the %s: %s\n", goal, reference, reached)
	}
	block(fmt.Sprintf("snapshot of %d rows", r.Plan.Rows), "limit", r.Limit, r.Snapshot, snapshotGoal)
	block(fmt.Sprintf("catch-up of %d row changes", r.Plan.Transactions*changesOf), "subscription", r.Subscription, r.CatchUp, catchUpGoal)
	for _, s := range r.Pauses {
		s.write(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// bar draws a share of a whole in eighths of a character.
func bar(share float64, width int) string {
	eighths := int(share*float64(width)*8 + 0.5)
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}
