package cutover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// checked is a go/no-go with what an attempt needs of it.
type checked struct {
	GoNoGo
	epoch              int64
	sourceID, targetID string
	fingerprints       [2]string // source, target
	cleanAt            time.Time
	proofs             stopwatch       // what is proven again under the fence
	asked              []time.Duration // switch steps, where traffic goes
}

func problem(code, object, reason, remedy string) Finding {
	return Finding{"error", code, object, reason, remedy}
}

// errorsOf picks the findings that are reasons against a cutover.
func errorsOf(all []Finding) []Finding {
	var out []Finding
	for _, f := range all {
		if f.Severity == "error" {
			out = append(out, f)
		}
	}
	return out
}

func warningsOf(all []Finding) []Finding {
	var out []Finding
	for _, f := range all {
		if f.Severity != "error" {
			out = append(out, f)
		}
	}
	return out
}

// Check says what a cutover would meet now, with every reason against it. It changes nothing but scratch objects of its own.
func (m *Machine) Check(ctx context.Context) (GoNoGo, error) {
	c, err := m.check(ctx)
	return c.GoNoGo, err
}

func (m *Machine) check(ctx context.Context) (c checked, err error) {
	c.Reasons, c.Warnings = []Finding{}, []Finding{}
	defer func() {
		c.Go = err == nil && len(c.Reasons) == 0
		m.setState(func(s *Status) { s.PredictedPauseMS = c.PredictedPauseMS })
	}()
	say := func(all ...Finding) {
		c.Reasons = append(c.Reasons, errorsOf(all)...)
		c.Warnings = append(c.Warnings, warningsOf(all)...)
	}
	src, dst, reasons := m.checkStates(ctx)
	if say(reasons...); len(reasons) > 0 {
		return c, ctx.Err()
	}
	c.sourceID, c.targetID = src.Identity, dst.Identity
	c.epoch = 1 + max(src.Gate.Epoch, src.Attempt.Epoch, dst.Gate.Epoch, dst.Attempt.Epoch)

	for _, s := range []struct {
		side Side
		name protocol.Side
	}{{m.leaving, m.from}, {m.entering, m.to}} {
		found, err := s.side.Check(ctx)
		if err != nil {
			say(problem("check", string(s.name), fmt.Sprintf("the %s could not be checked: %v", s.name, err), "see the error"))
			continue
		}
		say(found...)
	}
	say(m.checkApplication(ctx)...)
	say(m.checkProofs(ctx, &c)...)
	for _, s := range m.cfg.Switch {
		began := time.Now()
		if f := m.checkSwitch(ctx, s, c.epoch); f != nil {
			say(*f)
		}
		c.asked = append(c.asked, time.Since(began))
	}
	m.takeRounds(ctx)
	say(m.checkReady(ctx, &c.GoNoGo)...)
	if m.cfg.Reverse != nil {
		found, err := m.cfg.Reverse.Readiness(ctx)
		if err != nil {
			say(problem("reverse", m.cfg.Migration, err.Error(), "see the error"))
		}
		say(found...)
	} else {
		say(Finding{"warning", "reverse", m.cfg.Migration, "rollback will not be possible: " + cmp.Or(m.cfg.NoWayBack, "there is no reverse stream"), "know it before the cutover; cutover.reverse: true asks for a way back"})
	}
	if v, err := m.verifier.Readiness(ctx); err == nil {
		c.cleanAt = v.CleanAt
	}
	if len(c.Reasons) == 0 { // it costs the most, and comes last
		found, err := m.verifier.Recount(ctx)
		if err != nil {
			say(problem("count", string(m.to), err.Error(), "see the error"))
		}
		say(found...)
	}
	say(m.predict(ctx, &c)...)
	return c, ctx.Err()
}

// checkProofs proves what is proven again under the fence, and measures how long that takes.
func (m *Machine) checkProofs(ctx context.Context, c *checked) (reasons []Finding) {
	say := func(code string, side protocol.Side, reason, remedy string) {
		reasons = append(reasons, problem(code, string(side), reason, remedy))
	}
	for i, s := range []struct {
		side Side
		name protocol.Side
	}{{m.leaving, m.from}, {m.entering, m.to}} {
		var err error
		c.proofs.time(1, func() { c.fingerprints[i], err = s.side.Fingerprint(ctx) })
		if err != nil {
			say("schema", s.name, fmt.Sprintf("the schema of the %s could not be read: %v", s.name, err), "see the error")
		}
	}
	var ids []string
	var err error
	c.proofs.time(1, func() { ids, err = m.leaving.PreparedTransactions(ctx) })
	if err != nil {
		say("xa", m.from, err.Error(), fmt.Sprintf("GRANT XA_RECOVER_ADMIN ON *.* to the user of %s.url", m.from))
	} else if len(ids) > 0 {
		say("xa", m.from, fmt.Sprintf("transactions are prepared on the %s: %s", m.from, strings.Join(ids, ", ")), "commit them or roll them back")
	}
	var p Probe
	c.proofs.time(2, func() { p, err = m.entering.Probe(ctx) }) // the fenced side is probed too
	if err == nil {
		err = refusedByGate(p, m.to)
	}
	if err != nil {
		say("probe", m.to, err.Error(), fmt.Sprintf("grant the application's user what it needs on the %s's tables, and let nobody disable triggers named crossfade_*", m.to))
	}
	var seqs []Sequence
	c.proofs.time(2, func() { seqs, err = m.sequences(ctx) }) // before and after they are raised
	if err != nil {
		say("sequences", m.to, err.Error(), "make the column an identity column, or drop it from the mapping")
	}
	for _, s := range seqs {
		if s.Last >= s.Max && !s.Cycle {
			reasons = append(reasons, problem("sequences", s.Name, fmt.Sprintf("%s has issued %s, the sequence ends at %s", s.Table, s.Value(s.Last), s.Value(s.Max)), "use a wider type"))
		}
		if err := m.setBack(s); err != nil {
			found := problem("sequences", s.Table, err.Error(), fmt.Sprintf("set it to %d on the %s (setval; on MySQL and MariaDB ALTER TABLE ... AUTO_INCREMENT), also where the application gives the numbers itself", s.Highest, m.from))
			if m.cfg.Back { // whoever has to go back goes
				found.Severity = "warning"
				c.Warnings = append(c.Warnings, found)
			} else {
				reasons = append(reasons, found)
			}
		}
	}
	return reasons
}

// setBack is why a sequence is not to be gone on from: it has not issued a number that a row has, so it was set back, or rows get their numbers from elsewhere. The side entered is asked
// before the one that is left, so a number just issued is no reason.
func (m *Machine) setBack(s Sequence) error {
	if s.Highest > s.Last+1 { // by one MySQL may be behind after a crash, until the table is used
		return fmt.Errorf("%s has key %d, and its sequence on the %s stands at %d: it was set back, and %s would issue numbers again", s.Table, s.Highest, m.from, s.Last, s.Name)
	}
	return nil
}

// checkStates reads both rows; with a reason nothing else needs to be looked at.
func (m *Machine) checkStates(ctx context.Context) (src, dst View, reasons []Finding) {
	var err error
	if src, err = m.leaving.Read(ctx); err != nil {
		return src, dst, []Finding{problem("unreachable", string(m.from), err.Error(), fmt.Sprintf("make the %s reachable", m.from))}
	}
	if dst, err = m.entering.Read(ctx); err != nil {
		return src, dst, []Finding{problem("unreachable", string(m.to), err.Error(), fmt.Sprintf("make the %s reachable", m.to))}
	}
	a := src.Attempt
	switch {
	case a.State.Live():
		reasons = append(reasons, problem("attempt", m.cfg.Migration, fmt.Sprintf("cutover %d of instance %s is %s", a.Epoch, src.Record.Instance, a.State), "wait for it, or `crossfade rollback`"))
	case dst.Attempt.State.Live():
		reasons = append(reasons, problem("attempt", m.cfg.Migration, fmt.Sprintf("attempt %d of instance %s to leave the %s is %s", dst.Attempt.Epoch, dst.Record.Instance, m.to, dst.Attempt.State), "wait for it, or finish it"))
	case a.State == protocol.Finalized:
		reasons = append(reasons, problem("finalized", m.cfg.Migration, fmt.Sprintf("the soak was ended by `crossfade finalize`: the %s is never left again", m.from), "nothing to do; moving back is a migration of its own"))
	case a.State == protocol.Decided && !src.Gate.Open:
		reasons = append(reasons, problem("decided", m.cfg.Migration, fmt.Sprintf("%s %d is decided: the %s serves", m.name(), a.Epoch, m.to), "nothing to do"))
	case !src.Gate.Open:
		reasons = append(reasons, problem("gate", string(m.from), fmt.Sprintf("the %s's gate is closed (epoch %d) though no attempt lives", m.from, src.Gate.Epoch), "find out who closed it before opening it by hand"))
	case dst.Gate.Open:
		reasons = append(reasons, problem("gate", string(m.to), fmt.Sprintf("the %s's gate is open (epoch %d): it took writes of its own", m.to, dst.Gate.Epoch), "find out who opened it; the target must be copied again"))
	}
	return src, dst, reasons
}

// checkReady asks the stream and the verification, and fills in what they predict.
func (m *Machine) checkReady(ctx context.Context, g *GoNoGo) []Finding {
	var reasons []Finding
	s, err := m.stream.Readiness(ctx)
	switch {
	case err != nil:
		reasons = append(reasons, problem("stream", m.cfg.Migration, fmt.Sprintf("the stream does not answer: %v", err), "see the error"))
	case s.Lag > m.cfg.MaxLag:
		reasons = append(reasons, problem("lag", m.cfg.Migration, fmt.Sprintf("the %s is %v behind, cutover.max_lag is %v", m.to, s.Lag.Round(time.Millisecond), m.cfg.MaxLag), "wait until it has caught up"))
	}
	g.LagMS, g.Predicted.Drain, g.Predicted.Rounds = s.Lag.Milliseconds(), s.Drain.Milliseconds(), s.Rounds
	reasons = append(reasons, errorsOf(s.Findings)...)
	v, err := m.verifier.Readiness(ctx)
	switch {
	case err != nil:
		reasons = append(reasons, problem("verify", m.cfg.Migration, fmt.Sprintf("the verification does not answer: %v", err), "see the error"))
	case !v.Clean && len(errorsOf(v.Findings)) == 0:
		reasons = append(reasons, problem("verify", m.cfg.Migration, "no full verification without differences since the tables became strict", "`crossfade wait --for verified`, or `crossfade verify`"))
	}
	g.TouchedKeys, g.Predicted.Verify = v.Touched, v.Predicted.Milliseconds()
	return append(reasons, errorsOf(v.Findings)...)
}

// checkSwitch asks a switch step where traffic goes: to the source.
func (m *Machine) checkSwitch(ctx context.Context, s Switch, epoch int64) *Finding {
	at, err := s.Active(ctx, m.switchEnv(epoch, m.from))
	f := problem("switch", s.Name(), "", fmt.Sprintf("mend the step; its status must print %s before the %s", m.from, m.name()))
	switch {
	case errors.Is(err, ErrNoStatus):
		f.Severity, f.Reason = "warning", fmt.Sprintf("switch step %s has no status: if its outcome is unknown, only you can settle it", s.Name())
		return &f
	case err != nil:
		f.Reason = fmt.Sprintf("the probe of switch step %s failed: %v", s.Name(), err)
		return &f
	case at != m.from:
		f.Reason = fmt.Sprintf("switch step %s says that traffic goes to the %s already", s.Name(), at)
		return &f
	}
	return nil
}

// sequences says for every generator of the target what its table on the source has issued, and what it is to be set to.
func (m *Machine) sequences(ctx context.Context) ([]Sequence, error) {
	out, err := m.entering.Generators(ctx)
	if err != nil || len(out) == 0 {
		return out, err
	}
	issued, err := m.leaving.LastIssued(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]uint64, len(issued))
	for n, v := range issued {
		byName[n.String()] = v
	}
	for i := range out {
		s := &out[i]
		s.Last = byName[s.Table]
		if over := max(s.Last, s.Highest); over > 0 {
			above := *s
			above.Last = over
			s.SetTo = above.ahead(m.cfg.SequenceMargin)
		} else {
			s.SetTo = 0
		}
	}
	return out, nil
}
