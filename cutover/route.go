package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// ErrUnknownOutcome is wrapped by errors of a switch step that may have had its effect, or may have it later.
var ErrUnknownOutcome = errors.New("outcome unknown")

// ErrNoStatus is returned by a switch step that cannot say where traffic goes.
var ErrNoStatus = errors.New("the step has no status")

// switchStep is a switch step's name in the journal.
func switchStep(name string) string { return "switch:" + name }

// lastRun finds the newest run of a step.
func lastRun(entries []Entry, step string) (last Entry, found bool) {
	for _, e := range entries {
		if e.Step == step && (!found || e.Run > last.Run) {
			last, found = e, true
		}
	}
	return last, found
}

type decidedEvidence struct {
	WritePauseMS int64  `json:"write_pause_ms,omitempty"` // 0: not measured, the instance that decided is gone
	OpenedBy     string `json:"opened_by"`
}

type routedEvidence struct {
	ClientPauseMS int64 `json:"client_pause_ms,omitempty"`
	Steps         int   `json:"steps"`
}

// route moves traffic. The target is open: nothing aborts any more, and what fails is named and tried again on demand. It writes to the
// target's journal, so it needs only the target.
func (r *run) route() (protocol.Outcome, error) {
	r.release()
	if err := r.edge("route:before"); err != nil {
		return protocol.Failed, err
	}
	ctx := context.WithoutCancel(r.life) // what has been begun is finished
	opened := decidedEvidence{OpenedBy: r.record.Instance}
	if !r.opened.IsZero() && !r.closed.IsZero() {
		opened.WritePauseMS = r.opened.Sub(r.closed).Milliseconds()
	}
	known, err := r.m.entering.Journal(ctx, r.epoch)
	if err != nil {
		return protocol.Failed, fmt.Errorf("read the journal of the %s: %w", r.m.to, err)
	}
	r.entries = append(known[:0:0], known...)
	r.finish(protocol.StepDecide, OutcomeDone, opened)
	if _, started := lastRun(known, string(protocol.Routed)); !started {
		r.begin(protocol.Routed)
	}
	if err := r.recordOnTarget(ctx); err != nil {
		return protocol.Failed, err
	}
	var moved time.Time // the last pooler: its clients go on
	for _, s := range r.m.cfg.Switch {
		if err := r.runSwitch(ctx, s); err != nil {
			r.switchStep = s.Name()
			return protocol.Failed, err
		}
		if _, ok := s.(Pooler); ok {
			moved = time.Now()
		}
		if err := r.life.Err(); err != nil {
			return protocol.Failed, fmt.Errorf("stopped between switch steps: %w", context.Cause(r.life))
		}
	}
	done := routedEvidence{Steps: len(r.m.cfg.Switch)}
	if !r.first.IsZero() {
		if moved.IsZero() {
			moved = time.Now()
		}
		done.ClientPauseMS = moved.Sub(r.first).Milliseconds()
	}
	r.finish(protocol.Routed, OutcomeDone, done)
	if err := r.recordOnTarget(ctx); err != nil {
		return protocol.Failed, err
	}
	if err := r.edge("route:after"); err != nil {
		return protocol.Failed, err
	}
	return protocol.Done, nil
}

// recordOnTarget writes the queue to the target's journal.
func (r *run) recordOnTarget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r.noteGuards()
	if err := r.edge("journal:before"); err != nil {
		return err
	}
	ok, err := r.m.entering.Record(ctx, r.epoch, r.queue)
	if e := r.edge("journal:after"); e != nil {
		return errors.Join(e, err)
	}
	if err != nil {
		return fmt.Errorf("write the journal of the %s: %w", r.m.to, err)
	}
	if !ok {
		return fmt.Errorf("the %s is not open under %s %d", r.m.to, r.m.name(), r.epoch)
	}
	r.queue = nil
	return nil
}

// decided tells the source that traffic was moved, and gives it the whole journal.
func (r *run) decided() (protocol.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.life), 15*time.Second)
	defer cancel()
	entries, err := r.m.entering.Journal(ctx, r.epoch)
	if err != nil {
		return protocol.Failed, fmt.Errorf("read the journal of the %s: %w", r.m.to, err)
	}
	out, err := r.do(ctx, protocol.Decide, Call{Entries: entries})
	if err != nil {
		err = fmt.Errorf("tell the %s that traffic was moved: %w", r.m.from, err)
	}
	return out, err
}

type switchEvidence struct {
	Active protocol.Side `json:"active"`
	Note   string        `json:"note,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// runSwitch runs one step, if it has not been run. Only the instance whose intent was written runs it. Where an intent stands without an
// outcome the step is asked where traffic goes; only the answer "where it should" settles that.
func (r *run) runSwitch(ctx context.Context, s Switch) error {
	env := r.m.switchEnv(r.epoch, r.m.to)
	name := switchStep(s.Name())
	e := Entry{Epoch: r.epoch, Step: name, Run: 1, Instance: r.m.instance, IntentAt: time.Now()}
	known, err := r.m.entering.Journal(ctx, r.epoch)
	if err != nil {
		return fmt.Errorf("read the journal of the %s: %w", r.m.to, err)
	}
	if last, found := lastRun(known, name); found {
		switch {
		case last.DoneAt.IsZero() && repeatable(s):
			if err := r.attest(ctx, last, OutcomeDropped, switchEvidence{Note: "left without an outcome; it may be repeated"}); err != nil {
				return err
			}
		case last.DoneAt.IsZero():
			return r.askSwitch(ctx, s, env, last, fmt.Errorf("instance %s began it at %s and left no outcome", last.Instance, last.IntentAt.UTC().Format(time.RFC3339)))
		case last.Outcome == OutcomeDone:
			return nil
		case last.Outcome == OutcomeFailed && !r.retry:
			var v switchEvidence
			if err := json.Unmarshal(last.Evidence, &v); err != nil {
				return fmt.Errorf("it failed, and its evidence cannot be read: %w", err)
			}
			return errors.New(v.Error)
		}
		e.Run = last.Run + 1
	}
	if err := r.edge(name + ":intent"); err != nil {
		return err
	}
	won, err := r.m.entering.Intend(ctx, e)
	if err != nil {
		return fmt.Errorf("write its intent: %w", err)
	}
	if !won {
		r.unknown = true
		return errors.New("another instance runs it now")
	}
	if err := r.edge(name + ":before"); err != nil {
		return err
	}
	if e.Run > 1 { // what was to be done may have been done by hand
		if at, err := s.Active(ctx, env); err == nil && at == env.Active {
			return r.attest(ctx, e, OutcomeDone, switchEvidence{Active: at, Note: "traffic had been moved already"})
		}
	}
	runErr := s.Run(ctx, env)
	if err := r.edge(name + ":after"); err != nil {
		return errors.Join(err, runErr)
	}
	if errors.Is(runErr, ErrUnknownOutcome) {
		return r.askSwitch(ctx, s, env, e, runErr)
	}
	at, err := s.Active(ctx, env)
	switch {
	case errors.Is(err, ErrNoStatus) && runErr == nil:
		return r.attest(ctx, e, OutcomeDone, switchEvidence{Active: env.Active, Note: "not asked: the step has no status"})
	case err == nil && at == env.Active:
		v := switchEvidence{Active: at}
		if runErr != nil {
			v.Note = "it reported a failure, but traffic was moved: " + runErr.Error()
		}
		return r.attest(ctx, e, OutcomeDone, v)
	case runErr == nil && err != nil:
		// It says that it succeeded, and now nobody knows.
		r.unknown = true
		return fmt.Errorf("it succeeded, but its status failed: %w", err)
	case runErr == nil:
		runErr = fmt.Errorf("it succeeded, but its status still says %q", at)
	}
	v := switchEvidence{Active: at, Error: runErr.Error()}
	return errors.Join(runErr, r.attest(ctx, e, OutcomeFailed, v))
}

// askSwitch settles a step of unknown outcome by its status, or leaves it to a person.
func (r *run) askSwitch(ctx context.Context, s Switch, env SwitchEnv, e Entry, why error) error {
	if p, ok := s.(Pooler); ok {
		if err := r.m.unpause(ctx, p, env.Active); err != nil {
			why = fmt.Errorf("%w (%w)", why, err)
		}
	}
	at, err := s.Active(ctx, env)
	if err == nil && at == env.Active {
		return r.attest(ctx, e, OutcomeDone, switchEvidence{Active: at, Note: "found moved: " + why.Error()})
	}
	r.unknown = true
	if err != nil {
		return fmt.Errorf("%w; its status: %w", why, err)
	}
	return fmt.Errorf("%w; its status says %q", why, at)
}

func (r *run) attest(ctx context.Context, e Entry, outcome string, v switchEvidence) error {
	e.DoneAt, e.Outcome, e.Evidence = time.Now(), outcome, evidence(v)
	ok, err := r.m.entering.Record(ctx, r.epoch, []Entry{e})
	if err != nil {
		r.unknown = true
		return fmt.Errorf("write its outcome (%s): %w", outcome, err)
	}
	if !ok {
		return fmt.Errorf("write its outcome: the %s is not open under %s %d", r.m.to, r.m.name(), r.epoch)
	}
	return nil
}

// Directions, as switch steps and reports name them.
const forward, reverse = "forward", "reverse"

func (m *Machine) direction() string {
	if m.cfg.Back {
		return reverse
	}
	return forward
}

func (m *Machine) switchEnv(epoch int64, active protocol.Side) SwitchEnv {
	url := m.cfg.SourceURL
	if active == protocol.Target {
		url = m.cfg.TargetURL
	}
	return SwitchEnv{Migration: m.cfg.Migration, Epoch: epoch, Direction: m.direction(), Active: active, ActiveURL: url}
}
