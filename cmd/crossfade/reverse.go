package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/stream"
	"github.com/crossfade-io/crossfade/transform"
)

// runReverse runs the flow from the target to the source. It reads the target's log from when the target is complete, and finds there only what we have written ourselves, which it
// skips: what else comes while the source serves is a stranger's. While the target serves it is applied to the source.
func (m *migration) runReverse(ctx context.Context) error {
	if !m.twoWay.Goes {
		return nil
	}
	var back *flow
	err := m.again(ctx, "reverse", func(ctx context.Context) (err error) {
		if err := m.waitFinished(ctx); err != nil {
			return err
		}
		back, err = m.openReverse(ctx)
		return err
	})
	if err != nil || back == nil {
		return err
	}
	defer back.close()
	m.reverse.Store(back)
	defer m.reverse.Store(nil)
	m.unsettled.fire() // whether the target is the application's is asked again, now that somebody needs to know
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return back.runCapture(ctx) })
	g.Go(func() error { return back.runApply(ctx) })
	g.Go(func() error { return back.runPurge(ctx) })
	g.Go(func() error { return m.forgetSkipped(ctx, back) })
	g.Go(func() error { return back.runRounds(ctx) })
	g.Go(func() error {
		return m.whileServes(ctx, protocol.Target, func(ctx context.Context) error { return m.soak(ctx, back) })
	})
	g.Go(func() error { return m.whileServes(ctx, protocol.Source, m.applyThereAgain) })
	return g.Wait()
}

// captureThere reads the source: until the target serves, and for ever where there is a way back, for then somebody may still move there a second time.
func (m *migration) captureThere(ctx context.Context) error {
	if m.twoWay.Goes {
		return m.runCapture(ctx)
	}
	return m.whileServes(ctx, protocol.Source, m.runCapture)
}

func (m *migration) waitFinished(ctx context.Context) error {
	for !m.progress.finished.Load() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// openReverse opens the flow back. When it fails, what was opened of it is closed again.
func (m *migration) openReverse(ctx context.Context) (back *flow, err error) {
	back = &flow{cfg: m.cfg, log: m.log.With("direction", "reverse"), way: reverseWay(m.cfg, m.plan)}
	back.mapper = func() capture.Mapper { return strangerMapper{m, back, captureMapper{back.plan.Mapper()}} }
	defer func() {
		if err != nil {
			back.close()
		}
	}()
	back.applying.halted, back.applying.paused = true, m.applying.isPaused()
	if back.source, err = openSource(ctx, back.cfg, back.way, back.log); err != nil {
		return nil, err
	}
	if err = back.openTarget(ctx); err != nil {
		return nil, err
	}
	if back.stream, err = stream.Open(ctx, streamConfig(back.cfg, back.way), back.log); err != nil {
		return nil, err
	}
	var begun string
	known, err := back.fact(ctx, factStart, &begun)
	if err != nil {
		return nil, err
	}
	if known {
		if _, err := back.fact(ctx, factTables, &back.tables); err != nil {
			return nil, err
		}
		if _, err := back.fact(ctx, factCascades, &back.cascades); err != nil {
			return nil, err
		}
	} else if back.tables, err = selectedTables(ctx, &back.ends, back.way.selected); err != nil {
		return nil, err
	}
	if back.plan, err = transform.Reverse(m.plan, back.tables, back.cascades); err != nil {
		return nil, control.Fail(control.ExitRefused, err, "")
	}
	if !known {
		if err := back.begin(ctx); err != nil {
			return nil, err
		}
		if err := m.source.Setup(ctx, m.tables); err != nil { // the ledger of what is applied there has come into being, and is to be seen in the log
			return nil, err
		}
	}
	return back, back.wireVerifier(ctx)
}

// begin makes what the flow needs at both ends, and notes where it begins.
func (f *flow) begin(ctx context.Context) error {
	findings, err := f.source.Check(ctx, f.tables)
	if err != nil {
		return err
	}
	if bad := errorsIn(findings); len(bad) > 0 {
		return control.Fail(control.ExitRefused, fmt.Errorf("the target cannot be read for the way back: %s:\n%s", errorCount(bad), findingsText(bad)), "mend it, or set cutover.reverse: false and do without a way back")
	}
	if err := f.target.Setup(ctx, f.setups()); err != nil {
		return err
	}
	if err := f.source.Setup(ctx, f.tables); err != nil {
		return err
	}
	identity, err := f.source.Identity(ctx)
	if err != nil {
		return err
	}
	position, err := f.source.Position(ctx)
	if err != nil {
		return err
	}
	for _, fact := range []struct {
		key   string
		value any
	}{{factIdentity, identity}, {factTables, f.tables}, {factCascades, f.cascades}, {factStart, position}} { // whoever finds the start finds the rest
		if err := f.remember(ctx, fact.key, fact.value); err != nil {
			return err
		}
	}
	return nil
}

// forgetSkipped frees the reverse stream of what will never be applied, as long as nothing behind it is the application's.
func (m *migration) forgetSkipped(ctx context.Context, back *flow) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if m.over() { // from now on the applier says what is needed
			return nil
		}
		upTo := back.stream.Acked() // before it is asked whether the place is taken: it is this one, or later
		if upTo < 2 || back.strangers.hasSecured() {
			continue
		}
		if err := back.stream.Purge(ctx, upTo-1); err != nil && ctx.Err() == nil {
			m.log.Warn("purge the reverse stream", "upto", upTo-1, "err", err)
		}
	}
}

// soak keeps the source current while the target serves, and compares.
func (m *migration) soak(ctx context.Context, back *flow) error {
	if err := back.again(ctx, "target", func(ctx context.Context) error { return m.applyBehind(ctx, back, m.machine, m.gates.sourceBack) }); err != nil || ctx.Err() != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return back.verifier.Run(ctx) })
	g.Go(func() error { return back.again(ctx, "finish", back.firstVerification) })
	return g.Wait()
}

// applyThereAgain goes on filling the target after a rollback.
func (m *migration) applyThereAgain(ctx context.Context) error {
	if !m.rolledBack() {
		return nil
	}
	if err := m.again(ctx, "target", func(ctx context.Context) error { return m.applyBehind(ctx, &m.flow, m.machineBack, m.gates.target) }); err != nil || ctx.Err() != nil {
		return err
	}
	return m.again(ctx, "finish", m.firstVerification)
}

// applyBehind lets the applier through the fence of the side that was left, and starts it behind the place that the decision names.
func (m *migration) applyBehind(ctx context.Context, f *flow, decided *cutover.Machine, left enterer) error {
	at, ok, err := decided.ReverseStart(ctx, 0)
	if err != nil {
		return err
	}
	if !ok {
		return control.Fail(control.ExitRefused, errors.New("it was decided without a way back"), "set cutover.reverse: false")
	}
	if at.Stream != f.stream.ID().String() {
		return control.Fail(control.ExitRefused, fmt.Errorf("the way back began in stream %s, and this is stream %s: what was written in between is not in it", at.Stream, f.stream.ID()), "restore the state directory of that one; without it there is no way back")
	}
	if err := left.Guard(ctx); err != nil {
		return err
	}
	ledger, err := f.target.Ledger(ctx)
	if err != nil {
		return err
	}
	if lowest(ledger).Seq < at.Seq { // the application has written since anything was compared in this direction
		if err := f.verifier.BeginAgain(ctx); err != nil {
			return err
		}
		if err := f.target.StartAt(ctx, f.setups(), f.cfg.Apply.Lanes, at.Stream, apply.Place{Seq: at.Seq, Sum: at.Sum}); err != nil {
			return err
		}
	}
	f.applying.set(func(a *applying) { a.halted = false })
	f.log.Info("the side that was left is kept current from now on", "side", f.way.fills, "frame", at.Seq)
	return nil
}

// wayBack is the flow that leads back, as the cutover sees it.
type wayBack struct {
	m    *migration
	flow func() *flow
}

func (w wayBack) Readiness(ctx context.Context) (out []cutover.Finding, err error) {
	no := func(code, object, reason, remedy string) {
		out = append(out, cutover.Finding{Severity: "error", Code: code, Object: object, Reason: reason, Remedy: remedy})
	}
	back := w.flow()
	if back == nil || back.progress.publisher.Load() == nil {
		no("reverse", w.m.cfg.Name, "the reverse stream does not run yet", "wait for it; `crossfade status` shows what it waits for")
		return out, nil
	}
	if err := back.failure(); err != nil {
		no("reverse", w.m.cfg.Name, "the reverse stream has stopped: "+err.Error(), "mend it, then `crossfade resume`")
	}
	for _, l := range back.links.list() {
		no("reverse", l.To, "the reverse stream has no connection: "+l.Error, "make it reachable")
	}
	return out, nil
}

func (w wayBack) Secure(ctx context.Context) (at cutover.Place, err error) {
	back := w.flow()
	if back == nil {
		return at, errors.New("the reverse stream does not run")
	}
	seq, err := back.published(ctx)
	if err != nil {
		return at, err
	}
	if err := back.strangers.secure(); err != nil {
		return at, err
	}
	frame, any, err := back.stream.Last(ctx)
	if err != nil {
		return at, err
	}
	if !any || frame.Seq < seq {
		return at, fmt.Errorf("the reverse stream ends at frame %d, and %d was acknowledged", frame.Seq, seq)
	}
	return cutover.Place{Stream: back.stream.ID().String(), Seq: frame.Seq, Sum: frame.Sum}, nil
}

func (w wayBack) Pace(ctx context.Context) (time.Duration, error) {
	back := w.flow()
	if back == nil {
		return 0, errors.New("the reverse stream does not run")
	}
	began := time.Now()
	_, err := back.published(ctx)
	return time.Since(began), err
}

// watching: the reverse stream runs, or none is wanted. Without it no cutover is let in.
func (m *migration) watching() bool {
	back := m.reverse.Load()
	return !m.twoWay.Goes || back != nil && back.progress.publisher.Load() != nil
}

// reverseStatus is what status shows of the way back; nil where there is none.
func (m *migration) reverseStatus() *control.ReverseStatus {
	if !m.twoWay.Goes {
		return nil
	}
	s := &control.ReverseStatus{State: "pending"}
	back := m.reverse.Load()
	switch {
	case m.finalized() && m.removed.Load():
		s.State = "off"
	case m.finalized():
		s.State = "removing"
	case back == nil || back.progress.publisher.Load() == nil:
	case back.failure() != nil:
		s.State = "failed"
	case m.over() && back.applying.idle():
		s.State = "starting"
	case m.over():
		s.State = "applying"
		if a := back.applying.now(); a != nil {
			s.LagSeconds = back.lag(a.Stats(), a.Applied())
		}
		v := back.verifier.State()
		if s.Differences = len(v.Differences); v.Clean {
			s.LastCleanAt = v.LastCleanAt
		}
	default:
		s.State = "watching"
	}
	return s
}

// addTroubleOfReverse shows what the way back waits for beside what the way there does.
func (m *migration) addTroubleOfReverse(s *control.Status) {
	back := m.reverse.Load()
	if back == nil {
		return
	}
	if err := back.failure(); err != nil && s.Error == nil {
		text := "the way back has stopped: " + err.Error()
		s.Error = &text
	}
	for _, l := range back.links.list() {
		l.To = "reverse: " + l.To
		s.Links = append(s.Links, l)
	}
	if a := back.applying.now(); a != nil && m.over() {
		s.Held = append(s.Held, heldStatus(a.Stats().Held)...)
	}
}
