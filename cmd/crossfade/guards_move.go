package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/guard"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/control"
)

// begin takes note that an attempt begins.
func (g *guards) begin() {
	g.mu.Lock()
	g.began, g.predicted, g.settled = time.Time{}, 0, false
	g.mu.Unlock()
}

// step takes note of a step of the attempt.
func (g *guards) step(s cutover.Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch protocol.Step(s.Step) {
	case protocol.StepFenced:
		if g.began.IsZero() {
			g.began, g.predicted = time.Now(), time.Duration(s.PredictedPauseMS)*time.Millisecond
		}
	case protocol.Routed, protocol.Undo:
		g.settled = true
	default:
	}
}

// finish measures an attempt that has come to its end once more, by what its report says, and adds what follows to the report.
func (g *guards) finish(ctx context.Context, machine *cutover.Machine, r *cutover.Report) {
	g.looking.Lock()
	defer g.looking.Unlock()
	if r.Verdict == cutover.VerdictNoGo {
		for _, s := range g.status() {
			if s.Stands {
				r.Guards = append(r.Guards, cutover.Guard{Guard: s.Guard, Value: s.Value, Decided: s.Decided, At: s.At})
			}
		}
	}
	now := time.Now().UTC()
	for _, w := range g.rules {
		if w.Measure != guard.Duration {
			continue
		}
		g.mu.Lock()
		event := guard.Nothing
		if r.WritePauseMS > 0 && r.PredictedPauseMS > 0 {
			times := float64(r.WritePauseMS) / float64(r.PredictedPauseMS)
			event = w.Observe(guard.Sample{At: now, Duration: &times})
		}
		d := cutover.Guard{Guard: w.When, Value: w.Value(), At: now}
		w.Reset() // the next attempt has a pause of its own
		g.mu.Unlock()
		switch {
		case event != guard.Tripped:
			continue
		case w.Do == guard.Warn:
			d.Decided = string(guard.Warned)
		case w.Do == guard.Hold && g.hold(w, d):
			d.Decided = string(guard.Held)
		default: // it is too late to give it up, and one long pause is no reason to make another
			continue
		}
		r.Guards = append(r.Guards, d)
		g.note(ctx, d, guard.Away)
		if r.Verdict != cutover.VerdictCompleted && r.Verdict != cutover.VerdictRolledBack {
			continue
		}
		noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := machine.NoteGuard(noting, d)
		cancel()
		if err != nil {
			g.m.log.Error("the report lacks what a guard has decided", "guard", d.Guard, "decided", d.Decided, "err", err)
		}
	}
}

// want keeps in mind that a guard asks for a rollback.
func (g *guards) want(d cutover.Guard) {
	g.mu.Lock()
	if g.wanted == nil {
		g.wanted = &d
	}
	g.mu.Unlock()
}

// rollbackDue is the decision of a guard that asks for a rollback, once the source is level and was compared. With a hold or a difference it is not begun.
func (g *guards) rollbackDue(ctx context.Context) *cutover.Guard {
	g.mu.Lock()
	d, rolling := g.wanted, g.rolling
	g.mu.Unlock()
	if d == nil || rolling || g.stage() != guard.Soak {
		return nil
	}
	back := g.m.reverse.Load()
	var refused error
	switch {
	case g.m.held() != nil:
		refused = g.m.held()
	case !g.m.twoWay.Goes:
		refused = errors.New("there is no way back")
	case back != nil && back.failure() != nil:
		refused = fmt.Errorf("the way back has stopped: %w", back.failure())
	case back == nil || back.applying.idle() || back.applying.isPaused():
		return nil
	default:
		v := back.verifier.State()
		if n := len(v.Differences); n > 0 {
			refused = fmt.Errorf("the source differs, %s: going back would serve it", many(int64(n), "row"))
		} else if !v.Clean || back.behind() == nil {
			return nil
		}
	}
	g.mu.Lock()
	g.wanted, g.rolling = nil, refused == nil
	g.mu.Unlock()
	if refused != nil {
		g.refuse(ctx, *d, refused)
		return nil
	}
	return d
}

// rollBack moves the writes back for a guard, as the verb does and with its own go/no-go. In one soak this is tried once, also over restarts: whatever keeps it
// from going is for a person.
func (g *guards) rollBack(ctx context.Context, d cutover.Guard) {
	defer func() {
		g.mu.Lock()
		g.rolling = false
		g.mu.Unlock()
	}()
	r, err := g.m.machine.Report(ctx, 0)
	if err != nil {
		g.refuse(ctx, d, err)
		return
	}
	g.mu.Lock()
	tried := g.kept.Tried == r.Attempt
	g.kept.Tried, g.saved = r.Attempt, g.saved && tried
	g.mu.Unlock()
	if tried {
		g.refuse(ctx, d, errors.New("it was tried in this soak already"))
		return
	}
	g.save(ctx)
	back := g.m.reverse.Load()
	if back == nil {
		g.refuse(ctx, d, errors.New("the reverse stream does not run"))
		return
	}
	g.m.machineBack.Announce(d)
	if _, err := g.m.move(ctx, g.m.machineBack, back); err != nil {
		g.refuse(ctx, d, err)
		return
	}
	g.m.log.Error("guard: the writes have moved back to the source", "guard", d.Guard, "value", d.Value)
}

// refuse tells that the rollback which a guard asked for has not been made.
func (g *guards) refuse(ctx context.Context, d cutover.Guard, why error) {
	var e *control.Error
	if errors.As(why, &e) {
		why = errors.New(e.Message)
	}
	d.Decided, d.At = "no rollback: "+why.Error(), time.Now().UTC()
	g.note(ctx, d, g.stage())
}

// status is what the guards have decided, the newest last, and what of it stands.
func (g *guards) status() []control.GuardStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	decisions := g.kept.Decisions
	if h := g.kept.Hold; h != nil && !slices.Contains(decisions, *h) { // many others have followed
		decisions = append([]cutover.Guard{*h}, decisions...)
	}
	out := make([]control.GuardStatus, len(decisions))
	newest := map[string]bool{}
	for i, d := range slices.Backward(decisions) {
		out[i] = control.GuardStatus{Guard: d.Guard, Value: d.Value, Decided: d.Decided, At: d.At, Stands: !newest[d.Guard] && g.stands(d)}
		newest[d.Guard] = true
	}
	return out
}

// stands reports whether the newest decision of a guard is in force. The caller holds mu.
func (g *guards) stands(d cutover.Guard) bool {
	switch guard.Decision(d.Decided) {
	case guard.Held:
		return g.kept.Hold != nil
	case guard.Paused, guard.NoGo:
		return slices.ContainsFunc(g.rules, func(w *guarded) bool { return w.When == d.Guard && w.Stands() })
	default:
		return false
	}
}
