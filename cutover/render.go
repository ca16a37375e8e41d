package cutover

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// order of the steps in a report; switch steps stand before routed.
var order = []protocol.Step{protocol.Prepared, protocol.Converged, protocol.StepArmed, protocol.Paused, protocol.StepFenced, protocol.Drained,
	protocol.Verified, protocol.Reversible, protocol.StepDecide, "switch", protocol.Routed, protocol.StepFinal, protocol.Undo, guardStep}

// decidedVerdict is the verdict of an attempt that was decided.
func (m *Machine) decidedVerdict() string {
	if m.cfg.Back {
		return VerdictRolledBack
	}
	return VerdictCompleted
}

func (m *Machine) empty(verdict string) Report {
	return Report{decided: m.decidedVerdict(), Direction: m.direction(), Verdict: verdict, Migration: m.cfg.Migration, Steps: []ReportStep{}, Guards: []Guard{}, Samples: []Sample{},
		Compared: Compared{[]TableResult{}, []ReportSequence{}, []Lossy{}, []Difference{}}, Findings: Findings{[]Finding{}, []Finding{}}}
}

// noGo is the report of a cutover that was refused.
func (m *Machine) noGo(g GoNoGo) Report {
	r := m.empty(VerdictNoGo)
	r.Reasons, r.Warnings = g.Reasons, append(r.Warnings, g.Warnings...)
	r.PredictedPauseMS, r.PredictedClientPauseMS = g.PredictedPauseMS, g.PredictedClientPauseMS
	msg := (&NoGo{Reasons: g.Reasons}).Error()
	r.Error = &msg
	return r
}

// reportOf is Report where an error of reading it must not hide the outcome of the attempt.
func (m *Machine) reportOf(ctx context.Context, epoch int64) Report {
	ctx = context.WithoutCancel(ctx)
	r, err := m.Report(ctx, epoch)
	if err != nil {
		m.log.Error("read the report", "migration", m.cfg.Migration, "epoch", epoch, "error", err)
	}
	return r
}

// Report reads the evidence of an attempt from the journals; 0 is the newest. Either database suffices after the decision.
func (m *Machine) Report(ctx context.Context, attempt int64) (Report, error) {
	rep := m.empty(VerdictRunning)
	past, srcErr := m.leaving.Attempts(ctx)
	var entries []Entry
	found := false
	for _, p := range past {
		if p.State != protocol.Finalized && (attempt == 0 || p.Epoch == attempt) { // the end of a soak is no attempt
			attempt, found = p.Epoch, true
			rep.setVerdict(p, m.decidedVerdict())
			if entries, srcErr = m.leaving.Journal(ctx, attempt); srcErr != nil {
				break
			}
			break
		}
	}
	other, dstErr := m.entering.Journal(ctx, attempt)
	switch {
	case srcErr != nil && dstErr != nil:
		return rep, fmt.Errorf("read the report of cutover %d: %w; %w", attempt, srcErr, dstErr)
	case srcErr == nil && !found && attempt == 0:
		return rep, fmt.Errorf("report of migration %s: no cutover has begun, and one that was refused leaves no report: %w", m.cfg.Migration, ErrNothing)
	case srcErr == nil && !found:
		return rep, fmt.Errorf("report of migration %s: there was no cutover %d: %w", m.cfg.Migration, attempt, ErrNothing)
	}
	entries = merge(entries, other)
	if len(entries) > 0 {
		attempt = entries[0].Epoch
	}
	rep.Attempt = attempt
	if srcErr != nil || dstErr != nil {
		rep.Warnings = append(rep.Warnings, Finding{"warning", "unreachable", m.cfg.Migration, fmt.Sprintf("one database did not answer: %v%v", orEmpty(srcErr), orEmpty(dstErr)), "the report may lack its part"})
	}
	for _, e := range entries {
		if err := rep.add(e); err != nil {
			return rep, fmt.Errorf("report of cutover %d, step %s: %w", attempt, e.Step, err)
		}
	}
	if rep.Verdict == rep.decided {
		rep.RefusedWrites = m.refusedSince(ctx, attempt, entries)
	}
	return rep, nil
}

// refusedSince counts what the side left has refused since an attempt closed it; nil: it has been opened since, or it is not known.
func (m *Machine) refusedSince(ctx context.Context, attempt int64, entries []Entry) *uint64 {
	var v fencedEvidence
	e, found := lastRun(entries, string(protocol.StepFenced))
	if !found || json.Unmarshal(e.Evidence, &v) != nil || v.RefusedBefore == nil {
		return nil
	}
	left, err := m.leaving.Read(ctx)
	if err != nil || left.Gate.Open || left.Attempt.Epoch != attempt {
		return nil
	}
	n, counted, err := m.leaving.Refused(ctx)
	if err != nil || !counted {
		return nil
	}
	if n >= *v.RefusedBefore { // else the server was started anew and counts from there
		n -= *v.RefusedBefore
	}
	return &n
}

func orEmpty(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *Report) setVerdict(p Past, decided string) {
	switch p.State {
	case protocol.Decided:
		r.Verdict = decided
	case protocol.Aborting, protocol.Aborted:
		r.Verdict = VerdictAborted
		if p.Reason != "" {
			r.Error = &p.Reason
		}
	case protocol.None, protocol.Armed, protocol.Fenced, protocol.Deciding, protocol.Finalized:
	}
}

// ReverseStart is where the stream begins that keeps the side left current since attempt's decision, as the journal has it; false: there is none.
func (m *Machine) ReverseStart(ctx context.Context, attempt int64) (Place, bool, error) {
	entries, err := m.entering.Journal(ctx, attempt)
	if err != nil {
		return Place{}, false, fmt.Errorf("read where the way back begins: %w", err)
	}
	e, found := lastRun(entries, string(protocol.Reversible))
	if !found || e.Outcome != OutcomeDone {
		return Place{}, false, nil
	}
	var v reversibleEvidence
	if err := json.Unmarshal(e.Evidence, &v); err != nil {
		return Place{}, false, fmt.Errorf("read where the way back begins: %w", err)
	}
	if v.Start == nil {
		return Place{}, false, nil
	}
	return *v.Start, true, nil
}

// merge puts two journals of one attempt together: of a step that both know, the one that is done.
func merge(a, b []Entry) []Entry {
	out := slices.Clone(a)
	for _, e := range b {
		i := slices.IndexFunc(out, func(o Entry) bool { return o.Step == e.Step && o.Run == e.Run })
		switch {
		case i < 0:
			out = append(out, e)
		case out[i].DoneAt.IsZero() || out[i].Outcome == OutcomeFailed && e.Outcome == OutcomeDone:
			out[i] = e
		}
	}
	place := func(e Entry) int {
		if strings.HasPrefix(e.Step, "switch:") {
			return slices.Index(order, "switch")
		}
		return slices.Index(order, protocol.Step(e.Step))
	}
	slices.SortStableFunc(out, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(place(x), place(y)), x.IntentAt.Compare(y.IntentAt), cmp.Compare(x.Run, y.Run))
	})
	return out
}

// add takes one entry into the report.
func (r *Report) add(e Entry) error {
	if e.Step == guardStep {
		return r.addGuard(e)
	}
	s := ReportStep{Name: e.Step, StartedAt: e.IntentAt.UTC(), Outcome: e.Outcome, Evidence: json.RawMessage(e.Evidence)}
	if len(s.Evidence) == 0 {
		s.Evidence = json.RawMessage("{}")
	}
	if e.DoneAt.IsZero() {
		s.Outcome = VerdictRunning
	} else {
		s.TookMS = e.DoneAt.Sub(e.IntentAt).Milliseconds()
	}
	r.Steps = append(r.Steps, s)
	read := func(v any) error {
		if len(e.Evidence) == 0 {
			return nil
		}
		return json.Unmarshal(e.Evidence, v)
	}
	verification := func(v Verification) {
		for i := range v.Tables {
			at := e.DoneAt.UTC()
			v.Tables[i].VerifiedAt = &at
		}
		r.Tables = append(r.Tables, v.Tables...)
		r.Differences = append(r.Differences, v.Differences...)
		r.Lossy = append(r.Lossy, v.Lossy...)
	}
	if e.Outcome == OutcomeFailed {
		var f failure
		if err := read(&f); err != nil {
			return err
		}
		if f.Found != nil {
			verification(*f.Found)
		}
		if r.Error == nil && f.Error != "" {
			r.Error = &f.Error
		}
		return nil
	}
	if e.Outcome != OutcomeDone {
		return nil
	}
	switch protocol.Step(e.Step) {
	case protocol.Prepared:
		var v preparedEvidence
		if err := read(&v); err != nil {
			return err
		}
		r.PredictedPauseMS, r.PredictedClientPauseMS, r.Warnings = v.PredictedPauseMS, v.ClientPauseMS, append(r.Warnings, v.Warnings...)
	case protocol.Verified:
		var v verifiedEvidence
		if err := read(&v); err != nil {
			return err
		}
		verification(v.Verification)
		for _, s := range v.Sequences {
			if s.SetTo > 0 {
				r.Sequences = append(r.Sequences, ReportSequence{s.Name, s.Value(s.SetTo)})
			}
		}
	case protocol.StepDecide:
		var v decidedEvidence
		if err := read(&v); err != nil {
			return err
		}
		r.WritePauseMS = v.WritePauseMS
		if r.WritePauseMS == 0 { // whoever decided is gone: by the clocks of the journal
			r.WritePauseMS = r.since(protocol.StepFenced, e)
		}
	case protocol.Routed:
		var v routedEvidence
		if err := read(&v); err != nil {
			return err
		}
		r.ClientPauseMS, r.Error = v.ClientPauseMS, nil
		if r.ClientPauseMS == 0 {
			r.ClientPauseMS = r.since(protocol.StepFenced, e)
		}
		r.Verdict, r.PredictionError = r.decided, r.missed()
	case protocol.Undo:
		var v abortedEvidence
		if err := read(&v); err != nil {
			return err
		}
		r.WritePauseMS, r.ClientPauseMS = v.WritePauseMS, max(v.WritePauseMS, v.ClientPauseMS)
		r.Error = &v.Reason
	default: // steps whose evidence stands for itself
	}
	return nil
}

// since is the time from the start of a step in the report to the end of an entry.
func (r *Report) since(step protocol.Step, e Entry) int64 {
	if s, ok := r.step(step); ok {
		return e.DoneAt.Sub(s.StartedAt).Milliseconds()
	}
	return 0
}
