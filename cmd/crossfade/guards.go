package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/guard"
	"github.com/crossfade-io/crossfade/internal/control"
)

// guards watch what is measured while the migration runs, and act on it.
type guards struct {
	m       *migration
	looking sync.Mutex // one look at a time

	mu    sync.Mutex
	rules []*guarded
	kept  keptGuards
	saved bool // kept is what stands beside the stream
	over  bool // the target serves, as last seen

	began     time.Time // the fence of the attempt that runs; zero: it is not fenced yet
	predicted time.Duration
	settled   bool           // the attempt that runs is decided or given up
	wanted    *cutover.Guard // a rollback that waits until it can be asked for
	rolling   bool           // and one that runs
}

// guarded is a guard with what it has seen.
type guarded struct {
	guard.Watch
	prober *guard.Prober // of its own; nil: it looks at something else
}

// key tells a guard from the others, also after a restart.
func (g *guarded) key() string { return g.When + ": " + string(g.Do) }

// keptGuards is what a restart must know.
type keptGuards struct {
	Hold *cutover.Guard `json:"hold,omitempty"` // until resume
	// Lifted are the guards whose hold was ended by resume while their condition stood: they hold again once it has ended and come back.
	Lifted []string `json:"lifted,omitempty"`
	// Tried is the cutover in whose soak a rollback was begun by a guard: it is not begun a second time.
	Tried     int64           `json:"tried,omitempty"`
	Decisions []cutover.Guard `json:"decisions,omitempty"` // the newest, oldest first
}

// mostDecisions is how many are kept for status.
const mostDecisions = 20

func newGuards(m *migration) (*guards, error) {
	g := &guards{m: m, saved: true}
	for _, c := range m.cfg.Cutover.Guards {
		condition, err := c.Condition()
		if err != nil {
			return nil, err
		}
		w := &guarded{Watch: guard.Watch{Rule: guard.Rule{When: c.When, Measure: guard.Measure(condition.Measure), Limit: condition.Limit, For: c.For, Do: guard.Action(c.Do)}}}
		if condition.Measure == configs.MeasureErrorRate {
			if c.Probe.HTTP.IsZero() {
				m.log.Info("the guard is off: it has no probe", "guard", c.When)
				continue
			}
			w.prober = guard.NewProber(c.Probe.HTTP.Reveal())
		}
		g.rules = append(g.rules, w)
	}
	return g, nil
}

// restore reads what an earlier start has kept.
func (g *guards) restore(ctx context.Context) error {
	_, err := g.m.fact(ctx, factGuards, &g.kept)
	g.over = g.m.over()
	return err
}

// runGuards looks once a second, and more often while an attempt runs.
func (m *migration) runGuards(ctx context.Context) error {
	g := m.guards
	var beside sync.WaitGroup
	defer beside.Wait()
	for _, w := range g.rules {
		if w.prober != nil {
			beside.Go(func() { w.prober.Run(ctx) })
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if m.finalized() { // nothing is decided any more
			return nil
		}
		if time.Since(last) < time.Second && !m.attempting.Load() {
			continue
		}
		last = time.Now()
		g.look(ctx)
		if d := g.rollbackDue(ctx); d != nil {
			beside.Go(func() { g.rollBack(ctx, *d) })
		}
	}
}

// look takes a sample, and does what follows from it.
func (g *guards) look(ctx context.Context) {
	g.looking.Lock()
	defer g.looking.Unlock()
	stage := g.stage()
	g.changed()
	if stage == guard.Away {
		return
	}
	sample := g.sample(stage)
	for _, w := range g.rules {
		if w.Decide(stage) == guard.None {
			continue
		}
		if w.prober != nil {
			sample.ErrorRate = w.prober.Rate(sample.At)
		}
		g.mu.Lock()
		event := w.Observe(sample)
		g.mu.Unlock()
		switch event {
		case guard.Tripped:
			g.tripped(ctx, w, stage)
		case guard.Ended:
			g.ended(ctx, w)
		case guard.Nothing:
		}
	}
	g.throttle(stage)
	g.save(ctx)
}

// stage says what goes on.
func (g *guards) stage() guard.Stage {
	attempting := g.m.attempting.Load()
	g.mu.Lock()
	settled := g.settled
	g.mu.Unlock()
	switch {
	case g.m.finalized(), attempting && settled, !attempting && g.m.unfinished.Load() != nil:
		return guard.Away
	case attempting && g.m.over():
		return guard.Return
	case attempting:
		return guard.Attempt
	case g.m.over():
		return guard.Soak
	default:
		return guard.Before
	}
}

// changed begins anew when the writes have moved: what was measured is of another server.
func (g *guards) changed() {
	over := g.m.over()
	g.mu.Lock()
	defer g.mu.Unlock()
	if over == g.over {
		return
	}
	g.over, g.wanted, g.kept.Lifted, g.saved = over, nil, nil, g.saved && len(g.kept.Lifted) == 0
	for _, w := range g.rules {
		w.Reset()
		if w.prober != nil {
			w.prober.Reset()
		}
	}
}

// sample measures. Behind the fence lag is what is being drained, and the deadline bounds it.
func (g *guards) sample(stage guard.Stage) guard.Sample {
	s := guard.Sample{At: time.Now()}
	g.mu.Lock()
	began, predicted := g.began, g.predicted
	g.mu.Unlock()
	if (stage == guard.Attempt || stage == guard.Return) && !began.IsZero() {
		if predicted > 0 {
			s.Duration = new(float64)
			*s.Duration = float64(s.At.Sub(began)) / float64(predicted)
		}
	}
	f := g.flow(stage)
	if f == nil {
		return s
	}
	if began.IsZero() {
		s.Lag = f.behind()
	}
	if f.verifier != nil {
		n := float64(len(f.verifier.State().Differences))
		s.Differences = &n
	}
	return s
}

// flow is the one that is measured; nil: it does not run yet.
func (g *guards) flow(stage guard.Stage) *flow {
	if stage == guard.Soak || stage == guard.Return {
		return g.m.reverse.Load()
	}
	return &g.m.flow
}

// behind is the lag; while tables are still being copied that of the reading, for what is applied is behind by the copy.
func (f *flow) behind() *float64 {
	p := f.progress.publisher.Load()
	if p == nil || f.applying.idle() {
		return nil
	}
	if !f.filled() && !f.progress.finished.Load() {
		lag := p.Behind().Seconds()
		return &lag
	}
	a := f.applying.now()
	if a == nil {
		return nil
	}
	return f.lag(a.Stats(), a.Applied())
}

// throttle holds the copying of rows while a guard pauses. Changes are followed and applied all the same.
func (g *guards) throttle(stage guard.Stage) {
	on := false
	g.mu.Lock()
	for _, w := range g.rules {
		on = on || w.Stands() && w.Decide(stage) == guard.Paused
	}
	g.mu.Unlock()
	if s := g.m.progress.snapshot.Load(); s != nil {
		s.Throttle(on)
	}
}

// tripped does what a guard asks for.
func (g *guards) tripped(ctx context.Context, w *guarded, stage guard.Stage) {
	d := cutover.Guard{Guard: w.When, Value: w.Value(), Decided: string(w.Decide(stage)), At: time.Now().UTC()}
	why := fmt.Errorf("the guard %s: it is %s%s", d.Guard, d.Value, g.example(w, stage))
	switch guard.Decision(d.Decided) {
	case guard.Held:
		if !g.hold(w, d) {
			return
		}
		g.giveUp(why)
		g.save(ctx)
	case guard.Aborted:
		g.giveUp(why)
	case guard.RolledBack:
		g.want(d)
	case guard.None:
		return
	case guard.Paused, guard.NoGo, guard.Warned:
	}
	g.note(ctx, d, stage)
}

// example names a row that differs: an attempt that is given up for it compares no more, and its report names none.
func (g *guards) example(w *guarded, stage guard.Stage) string {
	f := g.flow(stage)
	if w.Measure != guard.Differences || f == nil {
		return ""
	}
	for _, d := range f.verifier.State().Differences {
		return fmt.Sprintf("; for one, the row %s of %s is not the same on both sides (%s)", d.Key, d.Table, strings.TrimSpace(d.Kind+" "+strings.Join(d.Columns, ", ")))
	}
	return ""
}

// hold keeps decision, finalize and rollback from being made, also after a restart. False: it does already, or resume has said that this one shall not.
func (g *guards) hold(w *guarded, d cutover.Guard) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Contains(g.kept.Lifted, w.key()) || g.kept.Hold != nil && g.kept.Hold.Guard == d.Guard {
		return false
	}
	if g.kept.Hold == nil {
		g.kept.Hold, g.saved = &d, false
	}
	return true
}

func (g *guards) giveUp(why error) {
	g.m.machine.GiveUp(why)
	g.m.machineBack.GiveUp(why)
}

// ended takes note that a condition holds no more. A hold stays until resume.
func (g *guards) ended(ctx context.Context, w *guarded) {
	g.mu.Lock()
	if i := slices.Index(g.kept.Lifted, w.key()); i >= 0 {
		g.kept.Lifted, g.saved = slices.Delete(g.kept.Lifted, i, i+1), false
	}
	if g.wanted != nil && g.wanted.Guard == w.When {
		g.wanted = nil
	}
	g.mu.Unlock()
	g.m.log.Info("guard: its condition has ended", "guard", w.When)
	g.save(ctx)
}

// note tells of a decision: in the log, in status, and in the report of the attempt that it belongs to.
func (g *guards) note(ctx context.Context, d cutover.Guard, stage guard.Stage) {
	g.mu.Lock()
	g.kept.Decisions = append(g.kept.Decisions, d)
	g.kept.Decisions = slices.Delete(g.kept.Decisions, 0, max(0, len(g.kept.Decisions)-mostDecisions))
	g.saved = false
	g.mu.Unlock()
	switch guard.Decision(d.Decided) {
	case guard.Warned, guard.Paused, guard.NoGo:
		g.m.log.Warn("guard", "guard", d.Guard, "value", d.Value, "decided", d.Decided, "stage", string(stage))
	default: // somebody has to look
		g.m.log.Error("guard", "guard", d.Guard, "value", d.Value, "decided", d.Decided, "stage", string(stage))
	}
	switch stage {
	case guard.Attempt:
		g.m.machine.Announce(d)
	case guard.Return:
		g.m.machineBack.Announce(d)
	case guard.Soak:
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := g.m.machine.NoteGuard(ctx, d); err != nil {
			g.m.log.Error("the report lacks what a guard has decided", "guard", d.Guard, "decided", d.Decided, "err", err)
		}
	case guard.Before, guard.Away: // no report is of it
	}
	g.save(ctx)
}

// save keeps what a restart must know. What cannot be written now is tried again at the next look.
func (g *guards) save(ctx context.Context) {
	g.mu.Lock()
	kept, saved := g.kept, g.saved
	kept.Decisions, kept.Lifted = slices.Clone(kept.Decisions), slices.Clone(kept.Lifted)
	g.saved = true
	g.mu.Unlock()
	if saved {
		return
	}
	if err := g.m.remember(ctx, factGuards, kept); err != nil {
		g.mu.Lock()
		g.saved = false
		g.mu.Unlock()
		g.m.log.Error("keep what the guards have decided", "err", err)
	}
}

// held says by an error that a guard holds: no decision, finalize or rollback until resume.
func (m *migration) held() error {
	m.guards.mu.Lock()
	defer m.guards.mu.Unlock()
	h := m.guards.kept.Hold
	if h == nil {
		return nil
	}
	return control.Fail(control.ExitRefused, fmt.Errorf("the guard %s holds since %s: it was %s", h.Guard, h.At.Format(time.RFC3339), h.Value), "look into it, then `crossfade resume`")
}

// release ends a hold, and has the guards whose condition still stands not hold again for it.
func (g *guards) release(ctx context.Context) error {
	g.looking.Lock()
	defer g.looking.Unlock()
	g.mu.Lock()
	kept := g.kept
	kept.Hold, kept.Lifted = nil, nil
	for _, w := range g.rules {
		if w.Do == guard.Hold && w.Stands() {
			kept.Lifted = append(kept.Lifted, w.key())
		}
	}
	was := g.kept.Hold != nil
	g.mu.Unlock()
	if !was {
		return nil
	}
	if err := g.m.remember(ctx, factGuards, kept); err != nil {
		return err
	}
	g.mu.Lock()
	g.kept, g.saved = kept, true
	g.mu.Unlock()
	return nil
}

// against are the reasons that guards give against leaving a side.
func (g *guards) against(f *flow) (out []cutover.Finding) {
	no := func(object, reason, remedy string) {
		out = append(out, cutover.Finding{Severity: "error", Code: "guard", Object: object, Reason: reason, Remedy: remedy})
	}
	var held *control.Error
	if errors.As(g.m.held(), &held) {
		no(g.m.cfg.Name, held.Message, held.Remedy)
	}
	if f.filled() {
		return out
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.rules {
		if d := w.Decide(guard.Before); w.Stands() && (d == guard.Paused || d == guard.NoGo) {
			reason := fmt.Sprintf("the guard %s: it is %s", w.When, w.Value())
			if w.prober != nil && w.prober.Problem() != "" {
				reason += ", the last probe that failed: " + w.prober.Problem()
			}
			no(w.When, reason, "wait until that has ended; this clears by itself")
		}
	}
	return out
}
