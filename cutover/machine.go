package cutover

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Config of a machine.
type Config struct {
	Migration string
	// Back: a rollback, which leaves the target and enters the source.
	Back     bool
	Tables   []Table
	MaxLag   time.Duration // 0: 5 s
	MaxPause time.Duration // 0: 2 s; predicted pause, and how long the fence is tried
	Timeout  time.Duration // 0: 30 s; from the first effect a client can see to the decision
	// ArmTimeout is how long installing gate triggers may take; clients see none of it. 0: 5 min.
	ArmTimeout time.Duration
	// AnalyzeTimeout is how long gathering statistics may take before it; clients see none of it. 0: 1 min.
	AnalyzeTimeout time.Duration
	// SequenceMargin is added to the last number issued. 0: 1000.
	SequenceMargin uint64
	Switch         []Switch
	// Reverse keeps the side left current after the decision; nil: there is no way back, and NoWayBack says why.
	Reverse   Reverse
	NoWayBack string
	// SourceURL and TargetURL are told to switch steps; without password.
	SourceURL, TargetURL string
	// Notify is called at every step; it must not block.
	Notify func(Status)
	// Failpoint is called before and after every statement, journal write and outside effect, with act:before or act:after. For tests; see
	// also CROSSFADE_FAILPOINT.
	Failpoint func(name string) error
	Logger    *slog.Logger
}

// Status is where the machine stands.
type Status struct {
	Step             string `json:"step"`
	Epoch            int64  `json:"epoch"`
	PredictedPauseMS int64  `json:"predicted_pause_ms"`
}

// Machine runs cutovers of one migration, one at a time.
type Machine struct {
	cfg      Config
	leaving  Leaver
	entering Enterer
	from, to protocol.Side // what they are in the configuration
	stream   Stream
	verifier Verifier
	instance string
	log      *slog.Logger

	busy       chan struct{} // holds one token while somebody acts
	recovering atomic.Bool   // and that is Recover

	mu     sync.Mutex
	status Status
	cancel context.CancelCauseFunc // ends the attempt that runs, before its decision
	guards []Guard                 // what guards have decided and no journal has yet
}

// New returns a machine. Nothing is read or changed before one of its methods is called.
func New(cfg Config, leaving Leaver, entering Enterer, stream Stream, verifier Verifier) (*Machine, error) {
	if cfg.Migration == "" || len(cfg.Tables) == 0 {
		return nil, errors.New("cutover: no migration or no tables given")
	}
	defaults := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	defaults(&cfg.MaxLag, 5*time.Second)
	defaults(&cfg.MaxPause, 2*time.Second)
	defaults(&cfg.Timeout, 30*time.Second)
	defaults(&cfg.ArmTimeout, 5*time.Minute)
	defaults(&cfg.AnalyzeTimeout, time.Minute)
	if cfg.SequenceMargin == 0 {
		cfg.SequenceMargin = 1000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("cutover: instance id: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	from := protocol.Source
	if cfg.Back {
		from = protocol.Target
	}
	return &Machine{cfg: cfg, leaving: leaving, entering: entering, from: from, to: from.Other(), stream: stream, verifier: verifier, log: cfg.Logger,
		instance: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), hex.EncodeToString(id[:])), busy: make(chan struct{}, 1)}, nil
}

// Setup makes what the cutover keeps in both databases, with the gate of the side to be left open and the other closed, and puts the gate
// triggers on the closed side's tables. It is called before the first row is copied and whenever tables were made; again it changes nothing. On the way back there is nothing to make.
func (m *Machine) Setup(ctx context.Context) error {
	if err := m.leaving.Setup(ctx, true); err != nil {
		return err
	}
	if err := m.entering.Setup(ctx, false); err != nil {
		return err
	}
	return m.entering.Guard(ctx)
}

// name of what it runs.
func (m *Machine) name() string {
	if m.cfg.Back {
		return "rollback"
	}
	return "cutover"
}

// State says where the machine stands, from memory.
func (m *Machine) State() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

func (m *Machine) setState(f func(*Status)) {
	m.mu.Lock()
	f(&m.status)
	s := m.status
	m.mu.Unlock()
	if m.cfg.Notify != nil {
		m.cfg.Notify(s)
	}
}

// Cutover moves the writes. It returns once traffic has been moved, or *NoGo, *Aborted or *StepFailed. An attempt that an earlier instance
// left is settled first; one that is decided goes on where it stopped. Ctx is the life of the process: when it ends before the decision
// the attempt is aborted, after it the step that runs is finished.
func (m *Machine) Cutover(ctx context.Context) (Report, error) {
	if !m.turn(ctx) {
		f := Finding{"error", "busy", m.cfg.Migration, "a cutover or an abort is running", "wait for it to end"}
		return m.noGo(GoNoGo{Reasons: []Finding{f}}), &NoGo{Reasons: []Finding{f}}
	}
	defer func() { <-m.busy }()
	defer m.announced() // an attempt that was refused leaves no report

	r := m.newRun(ctx)
	defer r.close()
	r.retry = true
	at, err := r.look(ctx)
	if err != nil {
		f := Finding{"error", "unreachable", m.cfg.Migration, err.Error(), "make both databases reachable"}
		return m.noGo(GoNoGo{Reasons: []Finding{f}}), &NoGo{Reasons: []Finding{f}}
	}
	decided := r.state == protocol.Decided && r.left // else it has been moved back since
	if at != protocol.Rest {
		if err := r.drive(at); err != nil && !settled(err) {
			return m.reportOf(ctx, r.epoch), err
		}
		decided = r.state == protocol.Decided
	}
	if decided {
		return m.Report(ctx, r.epoch)
	}

	c, err := m.check(ctx)
	if err != nil {
		return Report{}, err
	}
	if !c.Go {
		m.setState(func(s *Status) { s.Step, s.PredictedPauseMS = "", c.PredictedPauseMS })
		return m.noGo(c.GoNoGo), &NoGo{Reasons: c.Reasons}
	}
	r.close()
	r = m.newRun(ctx)
	defer r.close()
	m.mu.Lock()
	m.cancel = r.giveUp
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.cancel = nil
		m.mu.Unlock()
	}()
	err = r.attempt(c)
	if errors.Is(err, ErrCrash) {
		return Report{}, err
	}
	if refused := (*NoGo)(nil); errors.As(err, &refused) {
		return m.noGo(GoNoGo{Reasons: refused.Reasons}), err
	}
	return m.reportOf(ctx, r.epoch), err
}

// turn waits for Recover, but not for another cutover or an abort.
func (m *Machine) turn(ctx context.Context) bool {
	select {
	case m.busy <- struct{}{}:
		return true
	default:
	}
	if !m.recovering.Load() {
		return false
	}
	select {
	case m.busy <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// settled: the abort of an earlier attempt was finished.
func settled(err error) bool {
	var a *Aborted
	return errors.As(err, &a) && a.Settled
}

var errAsked = errors.New("the operator asked for it")

// Abort gives up the attempt that runs or was left behind. After the decision it returns ErrDecided, without an attempt ErrNothing.
func (m *Machine) Abort(ctx context.Context) error {
	m.mu.Lock()
	cancel := m.cancel
	m.mu.Unlock()
	if cancel != nil {
		cancel(errAsked)
	}
	select {
	case m.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("abort: %w", context.Cause(ctx))
	}
	defer func() { <-m.busy }()
	r := m.newRun(ctx)
	defer r.close()
	at, err := r.look(ctx)
	if err != nil {
		return err
	}
	r.cause = errAsked
	for at == protocol.Ask {
		if at, err = r.settle(ctx); err != nil {
			return err
		}
	}
	switch {
	case at == protocol.Route || r.state == protocol.Decided && r.left:
		return ErrDecided
	case at == protocol.Rest && r.state == protocol.Aborted && cancel != nil:
		return nil
	case at == protocol.Rest:
		return fmt.Errorf("no cutover is under way: %w", ErrNothing)
	}
	if err := r.drive(at); err != nil && !settled(err) {
		return err
	}
	return nil
}

// Recover settles what an earlier instance left: it aborts what was not decided and carries forward what was. It is called when the process
// starts and from time to time while nothing else runs; at rest it only lets clients of poolers go on. It does not run a switch step again that failed.
func (m *Machine) Recover(ctx context.Context) error {
	select {
	case m.busy <- struct{}{}:
	default:
		return nil
	}
	m.recovering.Store(true)
	defer func() {
		m.recovering.Store(false)
		<-m.busy
	}()
	r := m.newRun(ctx)
	defer r.close()
	at, err := r.look(ctx)
	if err != nil {
		return err
	}
	if at == protocol.Rest {
		return m.rest(ctx)
	}
	m.log.Warn("an attempt was left unfinished", "migration", m.cfg.Migration, "epoch", r.epoch, "state", r.state.String(), "by", r.record.Instance)
	r.cause = fmt.Errorf("instance %s ended during it", r.record.Instance)
	if err := r.drive(at); err != nil && !settled(err) {
		return err
	}
	return nil
}

// Settle records what became of a switch step whose outcome is unknown: done, or retry, which lets the next Cutover run it again.
func (m *Machine) Settle(ctx context.Context, step, outcome string) error {
	switch outcome {
	case "done":
		outcome = OutcomeDone
	case "retry":
		outcome = OutcomeDropped
	default:
		return fmt.Errorf("settle step %s: outcome %q: want done or retry", step, outcome)
	}
	select {
	case m.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("settle step %s: %w", step, context.Cause(ctx))
	}
	defer func() { <-m.busy }()
	r := m.newRun(ctx)
	defer r.close()
	if _, err := r.look(ctx); err != nil {
		return err
	}
	entries, err := m.entering.Journal(ctx, r.epoch)
	if err != nil {
		return fmt.Errorf("settle step %s: %w", step, err)
	}
	e, found := lastRun(entries, switchStep(step))
	if !found || !e.DoneAt.IsZero() {
		return fmt.Errorf("settle step %s of %s %d: its outcome is not unknown: %w", step, m.name(), r.epoch, ErrNothing)
	}
	e.DoneAt, e.Outcome = time.Now(), outcome
	e.Evidence = evidence(settledEvidence{SettledBy: "operator"})
	ok, err := m.entering.Record(ctx, r.epoch, []Entry{e})
	if err != nil {
		return fmt.Errorf("settle step %s: %w", step, err)
	}
	if !ok {
		return fmt.Errorf("settle step %s: the %s is not open under %s %d", step, m.to, m.name(), r.epoch)
	}
	return nil
}

type settledEvidence struct {
	SettledBy string `json:"settled_by"`
}
