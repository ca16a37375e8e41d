package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

// The charts of a report, in the units of their SVG. Text stands left of left.
const (
	left, right = 160.0, 790.0
	rowHeight   = 24.0
)

// scale maps a time to the width of a chart.
type scale struct{ from, to time.Time }

func (s scale) x(t time.Time) float64 {
	share := float64(t.Sub(s.from)) / float64(max(1, s.to.Sub(s.from)))
	return left + min(1, max(0, share))*(right-left)
}

// band is the pause in a chart.
type band struct{ X, W float64 }

func (s scale) pause(r *cutover.Report) *band {
	from, to, ok := r.Pause()
	if !ok {
		return nil
	}
	return &band{s.x(from), max(2, s.x(to)-s.x(from))}
}

// timeline shows the steps as bars.
type timeline struct {
	Height float64
	Pause  *band
	Bars   []stepBar
}

type stepBar struct {
	Name, Outcome string
	X, Y, W       float64
	TookMS        int64
	LabelX        float64 // its time stands right of the bar, or left of it where there is no room
	Left          bool
}

// newTimeline draws the steps around the pause. One that began long before it, as the triggers of many tables do, is cut off on the left: its time is beside it.
func newTimeline(r *cutover.Report) *timeline {
	if len(r.Steps) == 0 {
		return nil
	}
	end := func(s cutover.ReportStep) time.Time {
		return s.StartedAt.Add(time.Duration(s.TookMS) * time.Millisecond)
	}
	over := scale{r.Steps[0].StartedAt, end(r.Steps[0])}
	for _, s := range r.Steps {
		if s.StartedAt.Before(over.from) {
			over.from = s.StartedAt
		}
		if e := end(s); e.After(over.to) {
			over.to = e
		}
	}
	if from, to, ok := r.Pause(); ok {
		room := 2 * max(to.Sub(from), 10*time.Millisecond)
		if start := from.Add(-room); start.After(over.from) {
			over.from = start
		}
		if stop := to.Add(room); stop.Before(over.to) {
			over.to = stop
		}
	}
	out := &timeline{Height: rowHeight*float64(len(r.Steps)) + 8, Pause: over.pause(r)}
	for i, s := range r.Steps {
		b := stepBar{Name: s.Name, Outcome: s.Outcome, TookMS: s.TookMS, X: over.x(s.StartedAt), Y: 4 + rowHeight*float64(i)}
		b.W = max(2, over.x(end(s))-b.X)
		if b.LabelX = b.X + b.W + 5; b.LabelX > right-70 {
			b.LabelX, b.Left = b.X-5, true
		}
		out.Bars = append(out.Bars, b)
	}
	return out
}

// plot shows lag and rows per second around the pause.
type plot struct {
	Pause             *band
	Lag               []string // points of the lines; several where nothing is known in between
	Captured, Applied string
	MostLag, MostRows string
	Ticks             []tick
}

type tick struct {
	X     float64
	Label string
}

// The two panels, from top to bottom.
const (
	lagTop, lagBottom   = 18.0, 88.0
	rowsTop, rowsBottom = 116.0, 206.0
)

func newPlot(r *cutover.Report) *plot {
	if len(r.Samples) < 2 {
		return nil
	}
	over := scale{r.Samples[0].At, r.Samples[len(r.Samples)-1].At}
	lag, rows := 0.001, 1.0 // a line of nothing lies at the bottom
	for _, s := range r.Samples {
		if s.LagSeconds != nil {
			lag = max(lag, *s.LagSeconds)
		}
		rows = max(rows, s.CapturedPerS, s.AppliedPerS)
	}
	p := &plot{Pause: over.pause(r), MostLag: fmt.Sprintf("%.3g s", lag), MostRows: fmt.Sprintf("%.0f rows/s", rows)}
	var behind, captured, applied line
	for _, s := range r.Samples {
		x := over.x(s.At)
		captured.to(x, s.CapturedPerS/rows, rowsTop, rowsBottom)
		applied.to(x, s.AppliedPerS/rows, rowsTop, rowsBottom)
		if s.LagSeconds != nil {
			behind.to(x, *s.LagSeconds/lag, lagTop, lagBottom)
		} else if behind.Len() > 0 {
			p.Lag = append(p.Lag, behind.String())
			behind.Reset()
		}
	}
	if behind.Len() > 0 {
		p.Lag = append(p.Lag, behind.String())
	}
	p.Captured, p.Applied = captured.String(), applied.String()
	p.Ticks = ticks(r, over)
	return p
}

// line is the points of a polyline.
type line struct{ strings.Builder }

func (l *line) to(x, share, top, bottom float64) {
	if l.Len() > 0 {
		l.WriteByte(' ')
	}
	fmt.Fprintf(l, "%.1f,%.1f", x, bottom-share*(bottom-top))
}

// ticks count the seconds from the pause.
func ticks(r *cutover.Report, over scale) (out []tick) {
	zero, _, ok := r.Pause()
	if !ok {
		zero = over.from
	}
	every := 1.0
	for _, every = range []float64{1, 2, 5, 10, 20, 30, 60} {
		if over.to.Sub(over.from).Seconds() <= 10*every {
			break
		}
	}
	for n := math.Ceil(over.from.Sub(zero).Seconds() / every); n <= over.to.Sub(zero).Seconds()/every; n++ {
		at := zero.Add(time.Duration(n * every * float64(time.Second)))
		out = append(out, tick{over.x(at), fmt.Sprintf("%+g s", n*every)})
	}
	return out
}
