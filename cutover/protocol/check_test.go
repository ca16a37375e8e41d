package protocol

// What must hold: in every state, at a step, and in the end. The names are those of the design.
//
// Not here: I13 (schema), and of D22 the failover itself. I4 holds by construction: what an applier writes is in no log. I14 is that a hook is
// run by nobody but who wrote its intent. I12 and I17 hold at rest; with two instances nobody can promise more, for commands to poolers carry no epoch.

// fenced: with one instance every pooler stands still when the gate is closed.
func (m *model) fenced(s *state) {
	if !m.poolers || m.latePooler || m.instances > 1 {
		return
	}
	for _, p := range s.pooler {
		if p.paused == 0 {
			m.bad = "I17: the fence is closed and a pooler runs"
		}
	}
}

// opened is checked at the decision.
func (m *model) opened(s *state, l letter) {
	log, ledger := s.log[l.side], s.ledger[l.side]
	switch {
	case s.db[0].row != s.db[1].row:
		m.bad = "I2, I10: a side opens and the rows differ"
	case s.wrong == 1:
		m.bad = "I10: a side opens and holds a row that was never verified"
	case ledger[0].marker != l.epoch || ledger[1].marker != l.epoch:
		m.bad = "I9: a side opens and the marker is not in every ledger"
	case ledger[0].n != log.n || ledger[1].n != log.n:
		m.bad = "I16: a side opens and its stream has something left"
	case s.secured[1-l.side] == 0 && !m.lateStart:
		m.bad = "I8: a side opens and its own stream has no durable start"
	case s.decided>>l.epoch&1 == 1:
		m.bad = "I6: an epoch is decided twice"
	}
	s.decided |= 1 << l.epoch
	m.opens[1-l.side][l.epoch] = true
}

func (m *model) ended(s *state, l letter) {
	if s.db[l.side].open == 0 || s.db[1-l.side].open == 1 {
		m.bad = "I5: an abort has ended and the side to be left does not serve alone"
	}
}

// broken says what a state breaks.
func (m *model) broken(s *state) string {
	if s.db[0].serves() && s.db[1].serves() {
		return "I1: both sides are open"
	}
	if s.tx.on == 1 && s.db[s.tx.side].open == 0 {
		return "I7: the gate is closed and a transaction that wrote is open"
	}
	if s.hook.runs > 1 {
		return "I18: the hook ran twice"
	}
	for side := range s.db {
		d, other := &s.db[side], &s.db[1-side]
		a, o := State(d.attempt), State(other.attempt)
		if (a == Aborting || a == Aborted) && s.decided>>d.attemptEpoch&1 == 1 {
			return "I6: a decided attempt is aborted"
		}
		if d.open == 1 && o != Deciding && o != Decided && (side == 1 || o != None) {
			return "I6: a side is open and the other's attempt does not say so"
		}
		if a == Decided && s.decided>>d.attemptEpoch&1 == 0 {
			return "I6: an attempt counts as decided and opened nothing"
		}
		if d.open == 1 && s.run[1-side] == 1 {
			return "I15: a side is open and the applier that filled it holds the token"
		}
		if a == Deciding && o == Deciding {
			return "I6: both sides are being left"
		}
	}
	if m.strictPoolers {
		for _, p := range s.pooler {
			if p.paused == 0 && s.db[p.side].open == 0 && s.db[1-p.side].open == 1 {
				return "I12: traffic is on the closed side"
			}
		}
	}
	return ""
}

// atGoodRest reports whether everything is well and nobody has anything to do: L1 and L2 ask that this can always be reached without another fault.
func (m *model) atGoodRest(s *state) bool {
	source, target := State(s.db[0].attempt), State(s.db[1].attempt)
	if s.gone != 0 { // the pause ends, unless the side entered is lost during the decision itself, or when it serves
		return s.db[0].serves() || s.db[1].serves() || State(s.db[2-s.gone].attempt) == Deciding
	}
	for i := range m.instances {
		if s.walk[i].at != atRest {
			return false
		}
	}
	if s.db[0].serves() == s.db[1].serves() {
		return false
	}
	if m.hook && s.hook.stage == intended && (source == Deciding || target == Deciding) {
		return true // a person is asked what became of it
	}
	if source.Live() || target.Live() {
		return false
	}
	open := bit(s.db[1].serves())
	for _, p := range s.pooler {
		if m.poolers && p != (pooler{side: open}) {
			return false
		}
	}
	return s.db[1-open].shut == 1 || s.run[open] == 1
}
