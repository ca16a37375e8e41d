package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/transform"
)

// The methods of this file are the verbs, as the API calls them.
var _ control.Migration = (*migration)(nil)

// Verify compares in full; with repair it copies rows that differ again and compares those.
func (m *migration) Verify(ctx context.Context, table string, repair bool) (control.VerifyResult, error) {
	out := control.VerifyResult{Tables: []control.VerifiedTable{}, Differences: []control.VerifyDifference{}}
	f := &m.flow
	switch {
	case m.over() && m.reverse.Load() == nil:
		return out, control.Fail(control.ExitRefused, errors.New("the cutover is decided: the target has rows that the source never had"), "")
	case m.over() && repair:
		return out, control.Fail(control.ExitRefused, errors.New("after the decision nothing is repaired: which of two rows is right is for a person to say"), "compare with `crossfade verify`, and mend the row on the side that is wrong")
	case m.over():
		f = m.reverse.Load()
	case !m.progress.finished.Load():
		return out, control.Fail(control.ExitRefused, errors.New("not every table is copied and strict yet"), "wait for it: `crossfade wait --for streaming`")
	}
	if f.applying.isPaused() { // it would wait for the target to be level
		return out, control.Fail(control.ExitRefused, errors.New("applying is paused: the target cannot be compared until it is level with the source"), "`crossfade resume`")
	}
	var only []string
	if table != "" {
		if _, err := f.planned(table); err != nil {
			return out, control.Fail(control.ExitUsage, err, "")
		}
		only = []string{table}
	}
	r, err := f.verifier.Full(ctx, only)
	if err != nil {
		return out, err
	}
	if repair && len(r.Differences) > 0 {
		n := len(r.Differences)
		if err := m.repair(ctx, r.Differences); err != nil {
			return out, fmt.Errorf("repair: %w", err)
		}
		if r, err = f.verifier.Full(ctx, only); err != nil {
			return out, err
		}
		out.Repaired = n
	}
	out.RowsVerified = r.Rows
	for _, t := range f.plan.Tables() {
		name := t.Source.String()
		s, ok := r.Tables[name]
		if !ok {
			continue
		}
		v := control.VerifiedTable{Source: name, Target: t.Target.String(), RowsVerified: s.Rows, Digest: s.Digest}
		for _, d := range r.Differences {
			if d.Table == name {
				v.Differences++
				out.Differences = append(out.Differences, control.VerifyDifference{Table: d.Table, Key: d.Key, Kind: d.Kind, Columns: d.Columns})
			}
		}
		out.Tables = append(out.Tables, v)
	}
	if n := len(out.Differences); n > 0 {
		text := "a row differs"
		if n > 1 {
			text = many(int64(n), "row") + " differ"
		}
		return out, control.Fail(control.ExitDifferences, errors.New(text), "find out who wrote them, then `crossfade verify --repair`")
	}
	return out, nil
}

// repair reads the rows that differ again through the pipeline. Their tables are not strict until that is applied.
func (m *migration) repair(ctx context.Context, differences []verify.Difference) error {
	snapshot := m.progress.snapshot.Load()
	if snapshot == nil {
		return errors.New("capture does not run")
	}
	keys := map[string][][]byte{}
	for _, d := range differences {
		keys[d.Table] = append(keys[d.Table], d.TargetKey())
	}
	// A cascade through a row that is being read again may miss the children of that row, and nobody may be there to say so at the end.
	var doubtful []string
	for table := range keys {
		doubtful = append(doubtful, m.plan.Reached(table)...)
	}
	if len(doubtful) > 0 {
		defer m.repairs.begin(keys)()
		if err := m.verifier.Doubt(ctx, doubtful); err != nil {
			return err
		}
	}
	for table, list := range keys {
		rows, err := m.recopies(table, list)
		if err != nil {
			return err
		}
		seq, err := snapshot.Repair(ctx, table, rows, m.plan.Reached(table))
		if err != nil {
			return err
		}
		if err := m.waitApplied(ctx, seq); err != nil {
			return err
		}
	}
	return nil
}

// repairs are the tables that are being repaired, from before the first frame that says so.
type repairs struct {
	mu     sync.Mutex
	tables map[string]int // how often
}

// begin notes tables, and returns what takes them off again.
func (r *repairs) begin(keys map[string][][]byte) (end func()) {
	add := func(n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.tables == nil {
			r.tables = map[string]int{}
		}
		for t := range keys {
			r.tables[t] += n
		}
	}
	add(1)
	return func() { add(-1) }
}

func (r *repairs) has(table string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tables[table] > 0
}

// doubtful reports whether cascades may miss rows of a table, since rows through which they go are read again. A pass that begins when none are compares what
// is applied of all that is published by then.
func (f *flow) doubtful(table string) bool {
	snapshot := f.progress.snapshot.Load()
	if snapshot == nil { // nothing is known yet
		return f.plan.CascadedInto(table)
	}
	for source, p := range snapshot.Progress() {
		if (!p.Strict || f.repairs.has(source)) && slices.Contains(f.plan.Reached(source), table) {
			return true
		}
	}
	return false
}

// Cutover moves the writes, or with dryRun says whether it would be tried.
func (m *migration) Cutover(ctx context.Context, dryRun bool) (json.RawMessage, error) {
	if !m.over() {
		if err := m.lookAtStorage(ctx); err != nil {
			return nil, control.Fail(control.ExitRefused, err, "")
		}
	}
	if dryRun {
		g, err := m.machine.Check(ctx)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(g)
		if err == nil && !g.Go {
			err = control.Fail(control.ExitRefused, &cutover.NoGo{Reasons: g.Reasons}, "")
		}
		return b, err
	}
	return m.move(ctx, m.machine, &m.flow)
}

// move runs a machine over the flow that goes its way.
func (m *migration) move(ctx context.Context, machine *cutover.Machine, f *flow) (json.RawMessage, error) {
	m.cutovers.Lock()
	defer m.cutovers.Unlock()
	if other := m.opposite(f); other != nil {
		other.strangers.expect()
	}
	m.guards.begin()
	m.attempting.Store(true)
	f.verifier.Quiet(true)
	defer f.verifier.Quiet(false)
	r, cerr := machine.Cutover(ctx)
	m.guards.finish(ctx, machine, &r)
	m.attempting.Store(false)
	if err := m.conclude(ctx, cerr); err != nil {
		m.log.Error("what an attempt came to could not be read, trying again", "err", err)
		m.unsettled.fire()
	}
	m.goOnAborting(cerr)
	m.recorder.keep(&r)
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return b, cutoverError(cerr)
}

// conclude notes what an attempt came to, reads which side serves now, and says so to whoever looks for strangers. From the decision on the migration is completed, also
// while a step after it has to be tried again.
func (m *migration) conclude(ctx context.Context, err error) error {
	var failed *cutover.StepFailed
	switch {
	case err == nil:
		m.unfinished.Store(nil)
	case errors.As(err, &failed):
		text := err.Error()
		m.unfinished.Store(&text)
	}
	if err := m.learnDecision(ctx); err != nil {
		return fmt.Errorf("read which side serves: %w", err)
	}
	if failed != nil {
		return nil
	}
	if err := m.settled(ctx); err != nil {
		return fmt.Errorf("have the tables compared again that somebody wrote to meanwhile: %w", err)
	}
	return nil
}

// cutoverError gives the outcomes of an attempt their exit codes.
func cutoverError(err error) error {
	var noGo *cutover.NoGo
	var aborted *cutover.Aborted
	switch {
	case err == nil:
		return nil
	case errors.As(err, &noGo), errors.Is(err, cutover.ErrDecided), errors.Is(err, cutover.ErrNothing):
		return control.Fail(control.ExitRefused, err, "")
	case errors.As(err, &aborted):
		return control.Fail(control.ExitAborted, err, "")
	default:
		return control.Fail(control.ExitFailed, err, "")
	}
}

// Settle says what became of a switch step of unknown outcome.
func (m *migration) Settle(ctx context.Context, step, outcome string) error {
	return cutoverError(m.machine.Settle(ctx, step, outcome))
}

// Rollback gives up an attempt before its decision; after it, it moves the writes back.
func (m *migration) Rollback(ctx context.Context) (json.RawMessage, error) {
	if m.finalized() {
		return nil, control.Fail(control.ExitRefused, errors.New("the soak was ended by `crossfade finalize`: there is no way back"), "moving back is a migration of its own")
	}
	if m.over() {
		back := m.reverse.Load()
		if back == nil {
			return nil, control.Fail(control.ExitRefused, errors.New("the cutover is decided, and there is no way back: the reverse stream does not run"), "cutover.reverse: true before a cutover keeps the way back open")
		}
		return m.move(ctx, m.machineBack, back)
	}
	err := m.machine.Abort(ctx)
	if errors.Is(err, cutover.ErrNothing) && m.rolledBack() { // the daemon has finished what an earlier call began
		r, err := m.machineBack.Report(ctx, 0)
		if err != nil {
			return nil, err
		}
		m.recorder.fill(&r)
		return json.Marshal(r)
	}
	if err != nil {
		m.goOnAborting(err)
		return nil, cutoverError(err)
	}
	r, err := m.machine.Report(ctx, 0)
	if err != nil {
		return nil, err
	}
	m.recorder.fill(&r)
	return json.Marshal(r)
}

// Pause holds applying, also across restarts.
func (m *migration) Pause(ctx context.Context) error {
	if err := m.remember(ctx, factPaused, true); err != nil {
		return err
	}
	for _, f := range m.flows() {
		f.applying.set(func(a *applying) { a.paused = true })
	}
	return nil
}

// Resume clears a pause and the hold of a guard, tries again what stopped, and replays held tables.
func (m *migration) Resume(ctx context.Context, table string) error {
	if table == "" {
		if err := m.remember(ctx, factPaused, false); err != nil {
			return err
		}
		for _, f := range m.flows() {
			f.applying.set(func(a *applying) { a.paused = false })
			f.resumes.fire()
		}
		if err := m.guards.release(ctx); err != nil {
			return err
		}
	} else if err := m.plannedAnywhere(table); err != nil {
		return control.Fail(control.ExitUsage, err, "")
	}
	found, applied := false, false
	for _, f := range m.flows() {
		a := f.applying.now()
		if a == nil {
			continue
		}
		n, err := replayHeld(ctx, a, table)
		if err != nil {
			return err
		}
		found, applied = found || n > 0, true
	}
	if table != "" && applied && !found {
		return control.Fail(control.ExitRefused, fmt.Errorf("%s is not held", table), "")
	}
	return nil
}

// plannedAnywhere looks for a table among those of both directions.
func (m *migration) plannedAnywhere(table string) (err error) {
	for _, f := range m.flows() {
		if _, err = f.planned(table); err == nil {
			return nil
		}
	}
	return err
}

// replayHeld replays a held table, or all that are, and says how many.
func replayHeld(ctx context.Context, a *apply.Applier, table string) (n int, err error) {
	for _, h := range heldTables(a.Stats().Held) {
		if table != "" && h != table {
			continue
		}
		err := a.Replay(ctx, h)
		if table == "" && errors.Is(err, apply.ErrNotHeld) { // replayed with another that foreign keys tie it to
			continue
		}
		if err != nil {
			return n, fmt.Errorf("replay %s: %w", h, err)
		}
		n++
	}
	return n, nil
}

// Report is the evidence of an attempt.
func (m *migration) Report(ctx context.Context, attempt int64, format string) ([]byte, error) {
	r, err := reportOf(ctx, m.machine, m.machineBack, attempt)
	if err != nil {
		return nil, cutoverError(err)
	}
	m.recorder.fill(&r)
	return renderReport(r, format)
}

// reportOf finds an attempt among those of both ways; 0: the newest.
func reportOf(ctx context.Context, there, back *cutover.Machine, attempt int64) (cutover.Report, error) {
	a, aerr := there.Report(ctx, attempt)
	b, berr := back.Report(ctx, attempt)
	if berr == nil && (aerr != nil || b.Attempt > a.Attempt) {
		return b, nil
	}
	return a, aerr
}

func renderReport(r cutover.Report, format string) ([]byte, error) {
	switch format {
	case "json":
		return json.MarshalIndent(r, "", "  ")
	case "html":
		return reportHTML(r)
	case "md", "":
		return []byte(r.Markdown()), nil
	default:
		return nil, control.Fail(control.ExitUsage, fmt.Errorf("format %q", format), "use md, html or json")
	}
}

// reportText is a report, or a go/no-go report, for people.
func reportText(b []byte) (string, error) {
	var probe struct {
		Verdict string `json:"verdict"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return "", fmt.Errorf("read the daemon's answer: %w", err)
	}
	if probe.Verdict == "" {
		var g cutover.GoNoGo
		if err := json.Unmarshal(b, &g); err != nil {
			return "", fmt.Errorf("read the daemon's answer: %w", err)
		}
		return goNoGoText(g), nil
	}
	var r cutover.Report
	if err := json.Unmarshal(b, &r); err != nil {
		return "", fmt.Errorf("read the daemon's answer: %w", err)
	}
	return r.Markdown(), nil
}

// goNoGoText is the answer of a dry run for people.
func goNoGoText(g cutover.GoNoGo) string {
	var b strings.Builder
	if g.Go {
		fmt.Fprintf(&b, "go: predicted write pause %d ms (%s) and client pause %d ms, lag %d ms, %d keys touched\n",
			g.PredictedPauseMS, &g.Predicted, g.PredictedClientPauseMS, g.LagMS, g.TouchedKeys)
	} else {
		b.WriteString("no go\n")
	}
	for _, f := range append(slices.Clone(g.Reasons), g.Warnings...) {
		fmt.Fprintf(&b, "%-7s %s: %s; %s\n", f.Severity, f.Object, f.Reason, f.Remedy)
	}
	return strings.TrimRight(b.String(), "\n")
}

// Check runs the preflight again.
func (m *migration) Check(ctx context.Context) (json.RawMessage, error) {
	_, f, err := m.findings(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(f)
}

// planned finds a table by its source name.
func (f *flow) planned(source string) (*transform.Table, error) {
	for _, t := range f.plan.Tables() {
		if t.Source.String() == source {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%s is no table of this migration", source)
}
