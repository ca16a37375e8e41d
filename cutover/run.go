package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// run is one walk through the moves, by this instance.
type run struct {
	m      *Machine
	epoch  int64
	mine   int64          // the epoch of the attempt that this run means to begin; 0: none
	state  protocol.State // of the attempt, as last seen or written
	record Record         // of the attempt
	left   bool           // the gate of the side that is left is closed, as last seen
	retry  bool           // switch steps that failed are run again

	// Three contexts: life is the process's and ends nothing by itself; work ends when the attempt is given up or its deadline passes;
	// after is life without its end for a while, for what must still be said to the databases.
	life, work, after context.Context
	giveUp            context.CancelCauseFunc
	cancels           []func()

	go_     checked // what the go/no-go saw
	queue   []Entry // not written yet
	entries []Entry // of this attempt, all that this run knows
	held    []Held

	first, closed, opened time.Time // first effect a client could see; start of the fence that held; the target open
	refusedBefore         *uint64
	evidenceOfFence       fencedEvidence
	sequences             []Sequence
	result                Verification
	reopened              bool
	undonePause           time.Duration // fence to open again
	heldBack              time.Duration // first PAUSE to all poolers resumed
	freed                 int           // connections ended for it
	cause                 error         // why the attempt is given up
	stopped               error         // why the walk cannot go on now
	switchStep            string
	unknown               bool
}

var errDeadline = errors.New("the deadline passed")

// grace is how long the databases are still told of an abort when the process is asked to end.
const grace = 10 * time.Second

func (m *Machine) newRun(life context.Context) *run {
	r := &run{m: m, life: life}
	var end context.CancelFunc
	r.after, end = context.WithCancel(context.WithoutCancel(life))
	stop := context.AfterFunc(life, func() {
		t := time.AfterFunc(grace, end)
		context.AfterFunc(r.after, func() { t.Stop() })
	})
	r.work, r.giveUp = context.WithCancelCause(life)
	r.cancels = append(r.cancels, func() { stop(); end(); r.giveUp(nil) })
	return r
}

func (r *run) close() {
	r.release()
	for _, c := range r.cancels {
		c()
	}
	r.cancels = nil
}

func (r *run) release() {
	for _, h := range r.held {
		h.Release()
	}
	r.held = nil
}

// startClock begins the time after which the attempt aborts by itself.
func (r *run) startClock() {
	if !r.first.IsZero() {
		return
	}
	r.first = time.Now()
	err := fmt.Errorf("%w: no decision within %v of the first effect on clients", errDeadline, r.m.cfg.Timeout)
	work, cancel := context.WithDeadlineCause(r.work, r.first.Add(r.m.cfg.Timeout), err)
	r.work = work
	r.cancels = append(r.cancels, cancel)
}

func (r *run) remaining() time.Duration { return r.m.cfg.Timeout - time.Since(r.first) }

// look reads the databases and says how to go on. The target is asked too, if it answers: a failover of the source may have lost a fence.
func (r *run) look(ctx context.Context) (protocol.Act, error) {
	v, err := r.m.leaving.Read(ctx)
	if err != nil {
		return protocol.Stop, fmt.Errorf("read the attempt on the %s: %w", r.m.from, err)
	}
	r.epoch, r.state, r.record, r.left = v.Attempt.Epoch, v.Attempt.State, v.Record, !v.Gate.Open
	r.status(protocol.Step(""))
	asked, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	t, err := r.m.entering.Read(asked)
	if err != nil {
		if v.Record.SourceID != "" && v.Record.SourceID != v.Identity {
			return protocol.Stop, fmt.Errorf("the %s is another server (%s) than the one of %s %d (%s), and the %s does not say whether that was decided: %w",
				r.m.from, v.Identity, r.m.name(), r.epoch, v.Record.SourceID, r.m.to, err)
		}
		return protocol.Look(v.Attempt), nil
	}
	act := protocol.Rediscover(v.DB, t.DB)
	if act == protocol.Refence {
		r.m.log.Error("one side is open, and the other does not know of it: a failover lost the fence; closing that one again", "open", r.m.to, "closing", r.m.from,
			"migration", r.m.cfg.Migration, "epoch", t.Gate.Epoch, "server", v.Identity, "state", v.Attempt.State.String())
		r.epoch = t.Gate.Epoch
	}
	return act, nil
}

// settle asks the gate of the target what became of the attempt.
func (r *run) settle(ctx context.Context) (protocol.Act, error) {
	asked, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t, err := r.m.entering.Read(asked)
	if err != nil {
		next := protocol.Ask
		again, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if v, e := r.m.leaving.Read(again); e == nil && v.Attempt != (protocol.Attempt{State: protocol.Deciding, Epoch: r.epoch}) {
			next = protocol.Observe // another instance was answered
		}
		return next, fmt.Errorf("ask the %s's gate whether %s %d was decided: %w", r.m.to, r.m.name(), r.epoch, err)
	}
	next := protocol.Settle(t.Gate, r.epoch)
	if next == protocol.Stop {
		return next, fmt.Errorf("the %[1]s's gate has epoch %[2]d and never saw %[3]s %[4]d: the %[1]s was restored or exchanged (identity %[5]s, was %[6]s); the %[7]s stays closed until a person decides",
			r.m.to, t.Gate.Epoch, r.m.name(), r.epoch, t.Identity, r.record.TargetID, r.m.from)
	}
	return next, nil
}

// drive walks the moves until there is nothing to do, and says in which way that was reached.
func (r *run) drive(at protocol.Act) error {
	wait := 20 * time.Millisecond
	for {
		var next protocol.Act
		var err error
		switch at {
		case protocol.Rest:
			return r.outcome()
		case protocol.Stop:
			return r.outcome()
		case protocol.Observe:
			r.release() // whatever is found, this walk does not go on under its reads; and triggers cannot be dropped under them
			if next, err = r.look(r.after); err != nil {
				next = protocol.Observe
			}
		case protocol.Ask:
			switch next, err = r.settle(r.after); next {
			case protocol.Stop:
				r.stopped = err
			case protocol.Route:
				r.cause = nil
			default:
			}
		default:
			next, err = r.move(at)
		}
		if errors.Is(err, ErrCrash) {
			return err
		}
		if err != nil {
			r.m.log.Warn("cutover", "migration", r.m.cfg.Migration, "epoch", r.epoch, "act", string(at), "then", string(next), "error", err)
		}
		if next != at {
			at, wait = next, 20*time.Millisecond
			continue
		}
		// The same again: the outcome was not learned.
		select {
		case <-time.After(wait):
			wait = min(2*wait, time.Second)
		case <-r.after.Done():
			r.stopped = fmt.Errorf("%s: %w", at, errors.Join(err, context.Cause(r.life)))
			return r.outcome()
		}
	}
}

// move performs an act of the table and returns what follows.
func (r *run) move(a protocol.Act) (protocol.Act, error) {
	mv, ok := protocol.MoveOf(a)
	if !ok {
		r.stopped = fmt.Errorf("act %q is not in the table of moves", a)
		return protocol.Stop, r.stopped
	}
	r.status(mv.Step)
	out, err := r.perform(a, mv.Step)
	if errors.Is(err, ErrCrash) {
		return protocol.Stop, err
	}
	next := mv.Next[out]
	if out != protocol.Done {
		if err == nil {
			err = fmt.Errorf("%s: another instance has changed the attempt", a)
		}
		switch {
		case next == protocol.Stop:
			r.stopped = err
		case mv.Step != protocol.Undo && r.cause == nil:
			r.giveUpBecause(mv.Step, err)
		}
	}
	return next, err
}

func (r *run) giveUpBecause(step protocol.Step, err error) {
	if c := context.Cause(r.work); c != nil && !errors.Is(err, c) {
		err = fmt.Errorf("%w (%w)", c, err)
	}
	r.cause = fmt.Errorf("%s: %w", step, err)
	f := failure{Error: err.Error()}
	var d *differs
	if errors.As(err, &d) {
		f.Found = &d.found
	}
	r.finish(step, OutcomeFailed, f)
}

type failure struct {
	Error string        `json:"error"`
	Found *Verification `json:"found,omitempty"`
}

// outcome says how the walk ended.
func (r *run) outcome() error {
	if theirs := r.state == protocol.Decided && r.epoch >= r.mine; r.mine != 0 && (r.state == protocol.None || r.epoch != r.mine) && !theirs { // what is found is of an earlier attempt
		return &NoGo{Reasons: []Finding{problem("attempt", r.m.cfg.Migration, fmt.Sprintf("%s %d came to nothing: %v", r.m.name(), r.mine, errors.Join(r.cause, r.stopped)), "try again")}}
	}
	switch r.state {
	case protocol.Decided:
		if r.stopped == nil {
			return nil
		}
	case protocol.Aborting, protocol.Aborted:
		reason := r.record.Reason
		if r.cause != nil {
			reason = r.cause.Error()
		}
		if r.stopped != nil {
			r.m.log.Error("abort is not complete", "migration", r.m.cfg.Migration, "epoch", r.epoch, "error", r.stopped)
		}
		return &Aborted{Name: r.m.name(), Side: r.m.from, Epoch: r.epoch, Reason: reason, Open: r.reopened || r.state == protocol.Aborted, Settled: r.state == protocol.Aborted}
	case protocol.None, protocol.Armed, protocol.Fenced, protocol.Deciding, protocol.Finalized:
	}
	if r.stopped == nil && r.cause != nil {
		r.stopped = r.cause
	}
	if r.stopped == nil {
		return nil
	}
	if r.state == protocol.Armed || r.state == protocol.Fenced {
		return &Aborted{Name: r.m.name(), Side: r.m.from, Epoch: r.epoch, Reason: r.stopped.Error()}
	}
	step := string(protocol.StepDecide)
	if r.switchStep != "" {
		step = r.switchStep
	} else if !r.opened.IsZero() {
		step = string(protocol.Routed)
	}
	return &StepFailed{Name: r.m.name(), Epoch: r.epoch, Step: step, Unknown: r.unknown, Err: r.stopped}
}

func (r *run) status(step protocol.Step) {
	r.m.setState(func(s *Status) {
		s.Epoch, s.Step = r.epoch, string(step)
		if p := r.go_.PredictedPauseMS; p != 0 {
			s.PredictedPauseMS = p
		}
	})
}

// do sends a statement with the entries that wait to be written to that side's journal.
func (r *run) do(ctx context.Context, act protocol.Act, c Call) (protocol.Outcome, error) {
	rule, ok := protocol.RuleOf(act)
	if !ok {
		return protocol.Refused, fmt.Errorf("%s is not a statement", act)
	}
	c.Rule, c.Epoch = rule, r.epoch
	r.noteGuards()
	var side Side = r.m.entering
	if rule.On == protocol.Leaving {
		side = r.m.leaving
		c.Entries = append(c.Entries, r.queue...)
	}
	if err := r.edge(string(act) + ":before"); err != nil {
		return protocol.Failed, err
	}
	changed, err := side.Do(ctx, c)
	if e := r.edge(string(act) + ":after"); e != nil {
		return protocol.Failed, errors.Join(e, err)
	}
	switch {
	case err != nil:
		return protocol.Failed, err
	case !changed:
		return protocol.Refused, nil
	}
	if rule.On == protocol.Leaving {
		r.queue = nil
		if rule.To != protocol.None {
			r.state = rule.To
		}
	}
	return protocol.Done, nil
}

// doBusy sends a statement again while the server rolls it back because of a lock, for a while.
func (r *run) doBusy(ctx context.Context, act protocol.Act, c Call) (protocol.Outcome, error) {
	for start := time.Now(); ; {
		out, err := r.do(ctx, act, c)
		if !errors.Is(err, ErrBusy) || time.Since(start) > r.m.cfg.MaxPause || ctx.Err() != nil {
			return out, err
		}
	}
}

// begin notes the intent of a step, finish its outcome. Both wait in the queue until flush or the next statement on the source writes them.
func (r *run) begin(step protocol.Step) {
	r.note(Entry{Epoch: r.epoch, Step: string(step), Run: 1, Instance: r.m.instance, IntentAt: time.Now()})
}

func (r *run) finish(step protocol.Step, outcome string, what any) {
	e := Entry{Epoch: r.epoch, Step: string(step), Run: 1, Instance: r.m.instance, IntentAt: time.Now()}
	for _, known := range r.entries {
		if known.Step == string(step) {
			e = known
		}
	}
	e.DoneAt, e.Outcome, e.Evidence = time.Now(), outcome, evidence(what)
	r.note(e)
}

func (r *run) note(e Entry) {
	put := func(list []Entry) []Entry {
		for i := range list {
			if list[i].Step == e.Step && list[i].Run == e.Run {
				list[i] = e
				return list
			}
		}
		return append(list, e)
	}
	r.entries, r.queue = put(r.entries), put(r.queue)
}

// flush writes the queue to the source's journal.
func (r *run) flush(ctx context.Context) error {
	if err := r.edge("journal:before"); err != nil {
		return err
	}
	ok, err := r.m.leaving.Record(ctx, r.epoch, r.queue)
	if e := r.edge("journal:after"); e != nil {
		return errors.Join(e, err)
	}
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if !ok {
		return errors.New("another instance has ended the attempt")
	}
	r.queue = nil
	return nil
}

// evidence renders what the report shows of a step.
func evidence(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // the types are ours and have nothing that cannot be rendered
		return fmt.Appendf(nil, `{"error":%q}`, err.Error())
	}
	return b
}
