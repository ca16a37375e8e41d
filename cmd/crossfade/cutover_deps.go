package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/cutover"
)

// direction is a flow as the cutover that goes its way sees it. It is asked for the flow each time: the one that leads back comes into being later.
type direction struct {
	m    *migration
	flow func() *flow
}

func (d direction) Readiness(ctx context.Context) (cutover.StreamReadiness, error) {
	var r cutover.StreamReadiness
	no := func(code, object, reason, remedy string) {
		r.Findings = append(r.Findings, cutover.Finding{Severity: "error", Code: code, Object: object, Reason: reason, Remedy: remedy})
	}
	f := d.flow()
	if f == nil || !f.filled() && !f.progress.finished.Load() {
		no("not_streaming", d.m.cfg.Name, "not every table is copied, strict and complete yet", "wait for it: `crossfade wait --for verified`")
		return r, nil
	}
	if f.applying.idle() { // what is known of it is of an earlier time
		no("not_applying", d.m.cfg.Name, fmt.Sprintf("the %s is not kept current yet", f.way.fills), "wait for it; `crossfade status` shows what it waits for")
	}
	if f.applying.isPaused() {
		no("paused", d.m.cfg.Name, "applying is paused", "`crossfade resume`")
	}
	d.m.guards.look(ctx) // what stood a second ago may be mended
	r.Findings = append(r.Findings, d.m.guards.against(f)...)
	if err := d.triggers(ctx, f, no); err != nil {
		return r, err
	}
	if err := f.failure(); err != nil {
		no("failed", d.m.cfg.Name, err.Error(), "mend it, then `crossfade resume`")
	}
	for _, l := range f.links.list() {
		no("link", l.To, "no connection: "+l.Error, "make it reachable")
	}
	var lag *float64
	if a := f.applying.now(); a != nil {
		stats := a.Stats()
		for _, h := range stats.Held {
			no("held", h.Source, fmt.Sprintf("the row %s is refused: %s", h.Key, h.Reason), h.Remedy)
		}
		lag = f.lag(stats, a.Applied())
	}
	if lag == nil {
		no("lag_unknown", d.m.cfg.Name, "the lag is not known", "wait until changes flow")
	} else {
		r.Lag = time.Duration(*lag * float64(time.Second))
	}
	r.Drain, r.Rounds = f.pace.High()
	return r, nil
}

func (d direction) Round(ctx context.Context) error {
	f := d.flow()
	if f == nil {
		return errNoRounds
	}
	return f.round(ctx)
}

// triggers finds those that act on what is applied, where the engine cannot keep them from it by itself: somebody has made them since the tables were set up.
func (d direction) triggers(ctx context.Context, f *flow, no func(code, object, reason, remedy string)) error {
	t, ok := f.target.(interface {
		Acting(ctx context.Context, tables []apply.TableSetup) ([]string, error)
	})
	if !ok {
		return nil
	}
	names, err := t.Acting(ctx, f.setups())
	for _, name := range names {
		no("trigger", name, "the trigger acts on what is applied: it was made while the migration ran", "restart `crossfade run`, which keeps it from that; then `crossfade verify`, and look at what it has written elsewhere")
	}
	return err
}

func (d direction) Halt(ctx context.Context) error {
	a := &d.flow().applying
	a.set(func(a *applying) { a.halted = true })
	return a.stopped(ctx)
}

func (d direction) Resume(ctx context.Context) error {
	f := d.flow()
	if f == nil {
		return errors.New("the stream does not run yet")
	}
	a := &f.applying
	a.set(func(a *applying) { a.halted = false })
	if a.isPaused() {
		return nil
	}
	return a.running(ctx)
}

// comparison is the verifier as the cutover sees it.
type comparison struct {
	m    *migration
	flow func() *flow
}

func (c comparison) Readiness(context.Context) (cutover.VerifyReadiness, error) {
	if c.flow() == nil {
		return cutover.VerifyReadiness{}, nil
	}
	s := c.flow().verifier.State()
	r := cutover.VerifyReadiness{Clean: s.Clean && s.LastCleanAt != nil, Touched: s.TouchedKeys, Predicted: c.flow().verifier.Predict()}
	if s.LastCleanAt != nil {
		r.CleanAt = *s.LastCleanAt
	}
	no := func(code, object, reason, remedy string) {
		r.Findings = append(r.Findings, cutover.Finding{Severity: "error", Code: code, Object: object, Reason: reason, Remedy: remedy})
	}
	if s.State == "full" {
		no("verifying", c.m.cfg.Name, "a full verification is running", "wait for its end")
	}
	const most = 20
	for i, d := range s.Differences {
		if i == most {
			no("difference", c.m.cfg.Name, many(int64(len(s.Differences)-most), "more row")+" not the same on both sides", "`crossfade verify --json` names them; `crossfade verify --repair`")
			break
		}
		what := strings.TrimSpace(d.Kind + " " + strings.Join(d.Columns, ", "))
		no("difference", d.Table, fmt.Sprintf("the row %s is not the same on both sides (%s)", d.Key, what), "`crossfade verify --repair`")
	}
	for name, t := range s.Tables {
		if t.Unverified {
			no("unverified", name, "it has not been compared in full since it became strict, since more keys changed than are remembered, or since it did not have the rows it should have", "`crossfade verify`")
		}
	}
	return r, nil
}

// recountFor bounds the go/no-go. Ten million rows take about a second.
const recountFor = time.Minute

func (c comparison) Recount(ctx context.Context) ([]cutover.Finding, error) {
	counting, cancel := context.WithTimeout(ctx, recountFor)
	defer cancel()
	wrong, err := c.flow().verifier.Recount(counting)
	if err != nil && ctx.Err() == nil && counting.Err() != nil {
		return []cutover.Finding{{Severity: "warning", Code: "count", Object: "target", Reason: fmt.Sprintf("the rows of the target could not be counted again within %v: rows written past the gate since the last full verification may go unseen", recountFor),
			Remedy: "`crossfade verify` shortly before the cutover compares every row"}}, nil
	}
	var out []cutover.Finding
	for _, w := range wrong {
		out = append(out, cutover.Finding{Severity: "error", Code: "count", Object: w.Table, Reason: fmt.Sprintf("the target has %d rows of %s and should have %d: somebody else writes to it", w.Counted, w.Table, w.Kept),
			Remedy: "find out who, then `crossfade verify --repair`"})
	}
	return out, err
}

func (c comparison) Touched(ctx context.Context) (cutover.Verification, error) {
	n, err := c.flow().verifier.Touched(ctx)
	if err != nil {
		return cutover.Verification{}, err
	}
	s := c.flow().verifier.State()
	out := cutover.Verification{Touched: n, Lossy: lossyOf(c.flow().plan, s.Tables)}
	differ := map[string]int{}
	for _, d := range s.Differences {
		differ[d.Table]++
		columns := d.Columns
		if len(columns) == 0 {
			columns = []string{""}
		}
		for _, col := range columns {
			out.Differences = append(out.Differences, cutover.Difference{Table: d.Table, Key: d.Key, Column: col})
		}
	}
	if len(out.Differences) > 0 { // the attempt ends by it, and its journal takes no more once it has
		c.m.guards.look(ctx)
	}
	rows, err := c.flow().verifier.Kept(ctx)
	if err != nil {
		return out, err
	}
	for _, t := range c.flow().plan.Tables() {
		name := t.Source.String()
		kept, ok := rows[name]
		if !ok {
			return out, fmt.Errorf("the rows of %s were never counted: run `crossfade verify` and try again", name)
		}
		out.Tables = append(out.Tables, cutover.TableResult{Source: name, Target: t.Target.String(), SourceRows: kept.Source, TargetRows: kept.Target,
			Digest: s.Tables[name].Digest, Differences: differ[name]})
	}
	if !s.Clean && len(out.Differences) == 0 {
		return out, errors.New("a table has become unverified: more keys changed than are remembered; run `crossfade verify` and try again")
	}
	return out, nil
}
