package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// attempt runs a new attempt after a go.
func (r *run) attempt(c checked) error {
	r.go_, r.epoch, r.mine = c, c.epoch, c.epoch
	r.record = Record{Instance: r.m.instance, SourceID: c.sourceID, TargetID: c.targetID}
	return r.drive(protocol.Arm)
}

// perform runs one act of the table.
func (r *run) perform(a protocol.Act, step protocol.Step) (protocol.Outcome, error) {
	switch a {
	case protocol.Arm:
		return r.arm()
	case protocol.Claim:
		return r.do(r.work, a, Call{Identity: r.record.TargetID})
	case protocol.Install:
		return r.work1(a, r.install)
	case protocol.Pause:
		return r.work1(a, r.pause)
	case protocol.Hold:
		return r.work1(a, r.hold)
	case protocol.Fence:
		return r.fence()
	case protocol.Prove:
		return r.work1(a, r.prove)
	case protocol.Drain:
		return r.work1(a, r.drain)
	case protocol.Sequences:
		return r.raiseSequences()
	case protocol.Verify:
		return r.work1(a, r.verify)
	case protocol.Revoke:
		return r.revoke()
	case protocol.Begin:
		return r.decideBegin()
	case protocol.Open:
		return r.open()
	case protocol.Route:
		return r.route()
	case protocol.Decide:
		return r.decided()
	case protocol.Finalize:
		return r.doBusy(r.work, a, Call{Record: Record{Instance: r.m.instance}})
	case protocol.Quit, protocol.Raise, protocol.Yield, protocol.Reopen, protocol.Resume, protocol.Disarm, protocol.End, protocol.Refence:
		return r.undo(a)
	default:
		return protocol.Refused, fmt.Errorf("act %q of step %s cannot be performed", a, step)
	}
}

// work1 runs work that is not a statement.
func (r *run) work1(a protocol.Act, f func(context.Context) error) (protocol.Outcome, error) {
	if err := r.edge(string(a) + ":before"); err != nil {
		return protocol.Failed, err
	}
	err := f(r.work)
	if e := r.edge(string(a) + ":after"); e != nil {
		return protocol.Failed, errors.Join(e, err)
	}
	if err != nil {
		return protocol.Failed, err
	}
	return protocol.Done, nil
}

type preparedEvidence struct {
	Migration        string    `json:"migration"`
	Tables           int       `json:"tables"`
	SourceID         string    `json:"source_id"`
	TargetID         string    `json:"target_id"`
	PredictedPauseMS int64     `json:"predicted_pause_ms"`
	ClientPauseMS    int64     `json:"predicted_client_pause_ms"`
	Predicted        Predicted `json:"predicted"`
	Statistics       analyzed  `json:"statistics"`
	Warnings         []Finding `json:"warnings,omitempty"`
}

type analyzed struct {
	Analyzed
	TookMS int64 `json:"took_ms"`
}

type convergedEvidence struct {
	LagMS       int64     `json:"lag_ms"`
	VerifiedAt  time.Time `json:"verified_at"`
	TouchedKeys int       `json:"touched_keys"`
}

func (r *run) arm() (protocol.Outcome, error) {
	c := r.go_
	r.begin(protocol.Prepared)
	statistics, missing := r.analyze()
	r.finish(protocol.Prepared, OutcomeDone, preparedEvidence{r.m.cfg.Migration, len(r.m.cfg.Tables), c.sourceID, c.targetID, c.PredictedPauseMS, c.PredictedClientPauseMS, c.Predicted,
		statistics, slices.Concat(c.Warnings, missing)})
	r.begin(protocol.Converged)
	r.finish(protocol.Converged, OutcomeDone, convergedEvidence{c.LagMS, c.cleanAt, c.TouchedKeys})
	r.begin(protocol.StepArmed)
	return r.do(r.work, protocol.Arm, Call{Identity: r.record.SourceID, Record: r.record})
}

// analyze has the side entered gather its statistics, so that its first minute is not slow. Nothing is closed yet, and what fails is no reason against the cutover.
func (r *run) analyze() (out analyzed, warnings []Finding) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.work, r.m.cfg.AnalyzeTimeout)
	defer cancel()
	done, err := r.m.entering.Analyze(ctx)
	say := func(object, why string) {
		warnings = append(warnings, Finding{"warning", "statistics", object, "its statistics were not gathered before the " + r.m.name() + ", the first queries may be slow: " + why, "analyze it by hand"})
	}
	if err != nil {
		say(string(r.m.to), fmt.Sprintf("within %v: %v", r.m.cfg.AnalyzeTimeout, err))
	} else {
		for _, f := range done.Failed {
			say(f.Table, f.Why)
		}
	}
	return analyzed{done, time.Since(began).Milliseconds()}, warnings
}

// install puts up the gate triggers. It can take long, and clients see nothing of it: so what was ready before is asked again after it.
func (r *run) install(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.m.cfg.ArmTimeout, fmt.Errorf("gate triggers were not installed within %v", r.m.cfg.ArmTimeout))
	defer cancel()
	in, err := r.m.leaving.Install(ctx, r.epoch)
	if err != nil {
		return err
	}
	if reasons := r.m.checkReady(ctx, &GoNoGo{}); len(reasons) > 0 {
		return fmt.Errorf("no longer ready: %w", &NoGo{Reasons: reasons})
	}
	for _, s := range r.m.cfg.Switch {
		if f := r.m.checkSwitch(ctx, s, r.epoch); f != nil {
			return errors.New(f.Reason)
		}
	}
	r.finish(protocol.StepArmed, OutcomeDone, in)
	return nil
}

// hold opens the read of every source table before the fence, so that there is no moment after the marker in which a TRUNCATE could pass;
// and with it open it looks that every trigger stands, for now none can be dropped.
func (r *run) hold(ctx context.Context) error {
	r.begin(protocol.StepFenced)
	if err := r.flush(ctx); err != nil {
		return err
	}
	h, err := r.m.leaving.Hold(ctx)
	if err != nil {
		return err
	}
	r.held = append(r.held, h)
	if n, counted, err := r.m.leaving.Refused(ctx); err != nil {
		r.m.log.Warn("writes that the fence refuses will not be counted", "error", err)
	} else if counted {
		r.refusedBefore = &n
	}
	return r.m.leaving.Installed(ctx, r.epoch)
}

type fencedEvidence struct {
	TookMS   int64 `json:"took_ms"`
	Tries    int   `json:"tries"`
	Prepared int   `json:"prepared_transactions"`
	Probe    Probe `json:"probe"`
	// RefusedBefore is what the side left had refused before: the report counts from there.
	RefusedBefore *uint64 `json:"refused_before,omitempty"`
}

// fence closes the gate. InnoDB ends it as the victim of a deadlock rather than any client, so it is tried again at once.
func (r *run) fence() (protocol.Outcome, error) {
	start := time.Now()
	r.startClock()
	for tries := 1; ; tries++ {
		began := time.Now()
		out, err := r.do(r.work, protocol.Fence, Call{Identity: r.record.SourceID, Timeout: r.remaining()})
		if errors.Is(err, ErrBusy) && time.Since(start) < r.m.cfg.MaxPause && r.work.Err() == nil {
			continue
		}
		if errors.Is(err, ErrBusy) {
			err = fmt.Errorf("the gate could not be closed within %v in %d tries, transactions that have written keep it: %w", r.m.cfg.MaxPause, tries, err)
		} else if out != protocol.Refused {
			r.closed = began
		}
		r.evidenceOfFence = fencedEvidence{TookMS: time.Since(began).Milliseconds(), Tries: tries, RefusedBefore: r.refusedBefore}
		return out, err
	}
}

func (r *run) prove(ctx context.Context) error {
	ids, err := r.m.leaving.PreparedTransactions(ctx)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		return fmt.Errorf("prepared transactions could still be committed on the %s: %s; commit them or roll them back", r.m.from, strings.Join(ids, ", "))
	}
	p, err := r.m.leaving.Probe(ctx)
	if err != nil {
		return fmt.Errorf("probe write on the fenced %s: %w", r.m.from, err)
	}
	if err := refusedByGate(p, r.m.from); err != nil {
		return err
	}
	r.evidenceOfFence.Probe = p
	r.finish(protocol.StepFenced, OutcomeDone, r.evidenceOfFence)
	r.begin(protocol.Drained)
	return nil
}

// refusedByGate: every write tried was refused, and our gate was seen to refuse one.
func refusedByGate(p Probe, side protocol.Side) error {
	switch {
	case len(p.Accepted) > 0:
		return fmt.Errorf("the closed %s took a write of %s to %s", side, orOurs(p.As), strings.Join(p.Accepted, ", "))
	case p.Refused == 0:
		return fmt.Errorf("the write of %s to the closed %s was not refused by the gate but failed otherwise, which proves nothing: %s", orOurs(p.As), side, p.Error)
	}
	return nil
}

func orOurs(user string) string {
	if user == "" {
		return "our own user"
	}
	return "user " + user
}

type drainedEvidence struct {
	Lanes []Lane `json:"lanes"`
}

// drain waits until the marker is in every lane's ledger. Nothing else is proof.
func (r *run) drain(ctx context.Context) error {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	asked := time.Now()
	for {
		lanes, err := r.m.entering.Lanes(ctx)
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		drained := true
		for _, l := range lanes {
			if l.Marker > r.epoch {
				return fmt.Errorf("lane %d stands on the marker of cutover %d, which is later than this one", l.Lane, l.Marker)
			}
			drained = drained && l.Marker == r.epoch
		}
		if drained {
			r.finish(protocol.Drained, OutcomeDone, drainedEvidence{lanes})
			r.begin(protocol.Verified)
			return r.flush(ctx)
		}
		if time.Since(asked) > time.Second { // a stream that stopped will not drain: do not wait for the deadline
			asked = time.Now()
			s, err := r.m.stream.Readiness(ctx)
			if err != nil {
				return fmt.Errorf("the stream while draining: %w", err)
			}
			if reasons := errorsOf(s.Findings); len(reasons) > 0 {
				return fmt.Errorf("the stream while draining: %w", &NoGo{Reasons: reasons})
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("lanes %v do not all stand on marker %d: %w", lanes, r.epoch, context.Cause(ctx))
		}
	}
}

func (r *run) raiseSequences() (protocol.Outcome, error) {
	h, err := r.m.entering.Hold(r.work)
	if err != nil {
		return protocol.Failed, err
	}
	r.held = append(r.held, h)
	if r.sequences, err = r.m.sequences(r.work); err != nil {
		return protocol.Failed, err
	}
	return r.doBusy(r.work, protocol.Sequences, Call{Identity: r.record.TargetID, Sequences: r.sequences})
}

type verifiedEvidence struct {
	Verification
	Sequences []Sequence `json:"sequences"`
	Probe     Probe      `json:"target_probe"`
}

func (r *run) verify(ctx context.Context) error {
	v, err := r.m.verifier.Touched(ctx)
	if err != nil {
		return err
	}
	r.result = v
	if len(v.Differences) > 0 {
		d := v.Differences[0]
		return &differs{fmt.Errorf("%d differences; the first: %s key %s column %q is %q on the %s and %q on the %s",
			len(v.Differences), d.Table, d.Key, d.Column, d.Source, r.m.from, d.Target, r.m.to), v}
	}
	for _, t := range v.Tables {
		if t.SourceRows != t.TargetRows || t.Differences > 0 {
			return &differs{fmt.Errorf("%s has %d rows on the %s and %d on the %s, %d differences", t.Source, t.SourceRows, r.m.from, t.TargetRows, r.m.to, t.Differences), v}
		}
	}
	now, err := r.m.sequences(ctx)
	if err != nil {
		return err
	}
	for _, s := range now {
		if s.Last > 0 && s.Now < s.Last {
			return fmt.Errorf("sequence %s stands at %s, %s has issued %s", s.Name, s.Value(s.Now), s.Table, s.Value(s.Last))
		}
		if err := r.m.setBack(s); err != nil && !r.m.cfg.Back {
			return err
		}
	}
	for i, side := range []Side{r.m.leaving, r.m.entering} {
		f, err := side.Fingerprint(ctx)
		if err != nil {
			return err
		}
		if f != r.go_.fingerprints[i] {
			return fmt.Errorf("the schema of the %s was changed since the cutover began", []protocol.Side{r.m.from, r.m.to}[i])
		}
	}
	p, err := r.m.entering.Probe(ctx)
	if err != nil {
		return fmt.Errorf("probe write on the closed %s: %w", r.m.to, err)
	}
	if err := refusedByGate(p, r.m.to); err != nil {
		return err
	}
	r.finish(protocol.Verified, OutcomeDone, verifiedEvidence{v, r.sequences, p})
	r.begin(protocol.Reversible)
	return r.flush(ctx)
}

// differs carries what was found into the evidence.
type differs struct {
	error
	found Verification
}

type reversibleEvidence struct {
	Applier string `json:"applier"`
	Reverse string `json:"reverse"`         // ready or off
	Start   *Place `json:"start,omitempty"` // of the reverse stream: what it has behind it is the application's
}

// revoke locks out the applier. It is asked to stop first, so that it does not end in an error; nothing relies on that it does.
func (r *run) revoke() (protocol.Outcome, error) {
	if err := r.m.stream.Halt(r.work); err != nil {
		return protocol.Failed, fmt.Errorf("stop the applier: %w", err)
	}
	out, err := r.doBusy(r.work, protocol.Revoke, Call{Identity: r.record.TargetID})
	if out != protocol.Done {
		return out, err
	}
	e := reversibleEvidence{Applier: "revoked", Reverse: "off"}
	if r.m.cfg.Reverse != nil {
		start, err := r.m.cfg.Reverse.Secure(r.work)
		if err != nil {
			return protocol.Failed, fmt.Errorf("the way back: %w", err)
		}
		e.Reverse, e.Start = "ready", &start
	}
	r.finish(protocol.Reversible, OutcomeDone, e)
	r.begin(protocol.StepDecide)
	return protocol.Done, nil
}

func (r *run) alive(ctx context.Context) error {
	for _, h := range r.held {
		if err := h.Alive(ctx); err != nil {
			return fmt.Errorf("the read that keeps DDL waiting was lost: %w", err)
		}
	}
	return nil
}

func (r *run) decideBegin() (protocol.Outcome, error) {
	if err := r.alive(r.work); err != nil {
		return protocol.Failed, err
	}
	if err := r.work.Err(); err != nil {
		return protocol.Failed, context.Cause(r.work)
	}
	out, err := r.doBusy(r.after, protocol.Begin, Call{Identity: r.record.SourceID})
	if out == protocol.Refused && err == nil {
		err = fmt.Errorf("%w, or another instance has ended the attempt", errDeadline)
	}
	return out, err
}

// open is the decision. If the reads are gone it is not sent, and the gate is asked instead: its epoch is raised, and the attempt ends.
func (r *run) open() (protocol.Outcome, error) {
	ctx, cancel := context.WithTimeout(r.after, 5*time.Second)
	defer cancel()
	if err := r.alive(ctx); err != nil {
		return protocol.Refused, err
	}
	r.noteGuards()
	out, err := r.doBusy(ctx, protocol.Open, Call{Identity: r.record.TargetID, Entries: r.entries})
	if out == protocol.Done {
		r.opened = time.Now()
	}
	return out, err
}
