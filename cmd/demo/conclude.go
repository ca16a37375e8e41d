package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// errVerdict: the demo came to its end, and something is not as it must be.
var errVerdict = errors.New("the move is not proven")

// point is a line of the summary.
type point struct {
	name, text string
	proof      bool // it must be good
	good       bool
}

// conclude prints the pause and the summary, and fails unless every proof is good.
func (d *demo) conclude(took time.Duration) error {
	b := d.screen.brush()
	lines := []string{""}
	for _, l := range d.app.sales.aroundTheTurn(b, 4, d.rate) {
		lines = append(lines, "  "+l)
	}
	lines = append(lines, "")
	good := true
	for _, p := range d.points() {
		mark := " "
		switch {
		case p.proof && p.good:
			mark = b.paint(green, "✓")
		case p.proof:
			mark, good = b.paint(red, "✗"), false
		}
		lines = append(lines, fmt.Sprintf("  %s %-25s %s", mark, p.name, p.text))
	}
	for _, e := range d.verdict.examples {
		lines = append(lines, b.paint(red, "      "+e))
	}
	if good {
		lines = append(lines, "", b.paint("1;32", "  MOVED: nothing is lost, nothing differs.")+b.paint(dim, fmt.Sprintf("  %.0f s", took.Seconds())), "")
	} else {
		lines = append(lines, "", b.paint(red, "  NOT PROVEN: see what is marked ✗."), "")
	}
	d.screen.print(lines...)
	if !good {
		return errVerdict
	}
	return nil
}

// points says what happened in numbers.
func (d *demo) points() []point {
	v, app, r := &d.verdict, d.app, d.report
	var copied, changes int64
	for _, t := range d.status.Load().Tables {
		copied += t.RowsCopied
		changes += t.Inserted + t.Updated + t.Deleted
	}
	old, fresh := app.sales.total(source), app.sales.total(target)
	sales := fmt.Sprintf("%s acknowledged: %s on MySQL, then %s on PostgreSQL", count(old+fresh), count(old), count(fresh))
	if n := app.doubts.Load(); n > 0 {
		sales += fmt.Sprintf("; what became of %d more nobody knows", n)
	}
	out := []point{
		{name: "rows moved", text: fmt.Sprintf("%s at %s a second, and %s changes as they were made", count(copied), count(d.copyRate), count(changes))},
		{name: "sales", text: sales},
		{name: "write pause", text: fmt.Sprintf("%d ms from closing MySQL to opening PostgreSQL; predicted %d ms", r.WritePauseMS, r.PredictedPauseMS)},
		{name: "seen by the application", text: fmt.Sprintf("%d ms without a sale, %s writes refused and tried again, slowest sale %d ms",
			app.sales.pause().Milliseconds(), count(app.refused.Load()), time.Duration(app.longest.Load()).Milliseconds())},
		{name: "cutover", text: r.Verdict, proof: true, good: r.Verdict == "completed"},
		{name: "differences", text: fmt.Sprintf("%s in %s rows; %s more were written on PostgreSQL since", count(v.differences.Load()),
			count(v.equal.Load()+v.differences.Load()), count(v.since.Load())), proof: true, good: v.differences.Load() == 0},
		{name: "acknowledged writes lost", text: fmt.Sprintf("%s in %s rows that the application wrote", count(v.lost.Load()), count(int64(len(d.ledger)))),
			proof: true, good: v.lost.Load() == 0},
	}
	refuses := point{name: "old database", text: "refuses every insert, update and delete, with crossfade gone", proof: true, good: len(v.accepted) == 0}
	if !refuses.good {
		refuses.text = "does not refuse: " + strings.Join(v.accepted, ", ")
	}
	return append(out, refuses)
}
