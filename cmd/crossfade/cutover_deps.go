package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

// forward is the forward stream as the cutover sees it.
type forward struct{ m *migration }

func (f forward) Readiness(ctx context.Context) (cutover.StreamReadiness, error) {
	s := f.m.Status(ctx)
	var r cutover.StreamReadiness
	no := func(code, object, reason, remedy string) {
		r.Findings = append(r.Findings, cutover.Finding{Severity: "error", Code: code, Object: object, Reason: reason, Remedy: remedy})
	}
	if !f.m.progress.finished.Load() {
		no("not_streaming", f.m.cfg.Name, "not every table is copied, strict and complete yet", "wait for it: `crossfade wait --for verified`")
	}
	if s.Paused {
		no("paused", f.m.cfg.Name, "applying is paused", "`crossfade resume`")
	}
	if s.Error != nil {
		no("failed", f.m.cfg.Name, *s.Error, "mend it, then `crossfade resume`")
	}
	for _, h := range s.Held {
		no("held", h.Table, fmt.Sprintf("the row %s is refused: %s", h.Key, h.Reason), h.Remedy)
	}
	for _, l := range s.Links {
		no("link", l.To, "no connection: "+l.Error, "make it reachable")
	}
	if s.LagSeconds == nil {
		no("lag_unknown", f.m.cfg.Name, "the lag is not known", "wait until changes flow")
	} else {
		r.Lag = time.Duration(*s.LagSeconds * float64(time.Second))
	}
	r.Drain = 50*time.Millisecond + r.Lag
	return r, nil
}

func (f forward) Halt(ctx context.Context) error {
	f.m.applying.set(func(a *applying) { a.halted = true })
	return f.m.applying.stopped(ctx)
}

func (f forward) Resume(ctx context.Context) error {
	f.m.applying.set(func(a *applying) { a.halted = false })
	if f.m.applying.isPaused() {
		return nil
	}
	return f.m.applying.running(ctx)
}

// comparison is the verifier as the cutover sees it.
type comparison struct{ m *migration }

func (c comparison) Readiness(context.Context) (cutover.VerifyReadiness, error) {
	s := c.m.verifier.State()
	r := cutover.VerifyReadiness{Clean: s.Clean && s.LastCleanAt != nil, Touched: s.TouchedKeys, Predicted: c.m.verifier.Predict()}
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
	wrong, err := c.m.verifier.Recount(counting)
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
	n, err := c.m.verifier.Touched(ctx)
	if err != nil {
		return cutover.Verification{}, err
	}
	s := c.m.verifier.State()
	out := cutover.Verification{Touched: n, Lossy: lossyOf(c.m.plan, s.Tables)}
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
	rows, err := c.m.verifier.Kept(ctx)
	if err != nil {
		return out, err
	}
	for _, t := range c.m.plan.Tables() {
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
