package protocol

// What those who run the cutover do: the acts of the table, one at a time.

// kind of a step: the faultless ones are those by which everything must come to a good end.
type kind uint8

const (
	good    kind = iota
	adverse      // a crash, a lost answer: it costs nothing and may happen any number of times
	fault        // one of those that are counted
)

// label says what happens, for a trace.
type label struct {
	what string
	w    walker
}

// model explores a world.
type model struct {
	*world
	table
	emit func(n *state, k kind, l label) // takes a following state
	bad  string                          // what the step that is being taken has broken
	met                                  // what the exploration has come by
}

// met says which acts had which outcome, and which side was opened under which epoch.
type met struct {
	outcomes [32][2]bool
	opens    [2][8]bool
}

// step emits a following state, if the step broke nothing that only a step can break.
func (m *model) step(n *state, k kind, l label) {
	if k == fault {
		n.faults--
	}
	m.emit(n, k, l)
}

// to moves walker i on.
func (m *model) to(n *state, i int, w walker, next uint8) {
	for m.table[next].passes {
		next = m.table[next].next[Done]
	}
	if next == atRest || next == atStop || next == 0 { // whoever stops looks again when it is called
		n.walk[i] = walker{at: atRest}
		return
	}
	if next == atObserve {
		n.walk[i] = walker{at: atObserve}
		return
	}
	n.walk[i] = walker{next, w.epoch, w.side, 0}
}

func (m *model) walks(s *state, i int) {
	w := s.walk[i]
	if w.at != atObserve && (w.at != atRest || m.wrong) {
		n := *s
		m.crash(&n, i)
		m.step(&n, adverse, label{"crashes before", w})
	}
	switch {
	case w.at == atRest:
		m.rests(s, i)
	case w.at == atObserve:
		m.observes(s, i)
	case w.at == atAsk:
		if d := s.db[w.side]; !m.asksForEver && (State(d.attempt) != Deciding || d.attemptEpoch != w.epoch) {
			m.moves(s, i, atObserve, "is not answered, looks at the attempt again, and goes on to")
		}
		if !s.lost(1 - w.side) {
			m.moves(s, i, at(Settle(s.db[1-w.side].view().Gate, int64(w.epoch))), "asks, and goes on to")
		}
	case m.table[w.at].statement:
		m.sends(s, i)
	default:
		m.works(s, i)
	}
}

func (m *model) crash(n *state, i int) {
	n.walk[i] = walker{at: atObserve}
	if m.forgetsVerdict && n.verdict == failed {
		n.verdict = clean
	}
}

// moves takes walker i on without any effect.
func (m *model) moves(s *state, i int, next uint8, what string) {
	n := *s
	m.to(&n, i, s.walk[i], next)
	m.step(&n, good, label{what, n.walk[i]})
}

// observes: both databases are read, or one does not answer.
func (m *model) observes(s *state, i int) {
	source, target := s.db[0].view(), s.db[1].view()
	found := func(side Side, act Act, epoch int64, k kind) {
		n := *s
		m.to(&n, i, walker{epoch: uint8(epoch), side: bit(side == Target)}, at(act))
		m.step(&n, k, label{"looks, and goes on to", n.walk[i]})
	}
	alone := good
	if s.gone == 0 {
		alone = adverse
		side, act, epoch := Survey(source, target)
		found(side, act, epoch, good)
		if s.db[1].open == 1 { // it read the source before the decision, and the target after it
			found(Source, Refence, target.Gate.Epoch, adverse)
		}
		if s.db[0].open == 1 && s.db[0].epoch > 0 {
			found(Target, Refence, source.Gate.Epoch, adverse)
		}
	}
	if !s.lost(0) {
		found(Source, Look(source.Attempt), source.Attempt.Epoch, alone)
	}
	if !s.lost(1) {
		found(Target, Look(target.Attempt), target.Attempt.Epoch, alone)
	}
}

// rests: it begins something, or looks what others have left behind.
func (m *model) rests(s *state, i int) {
	if s.gone != 0 {
		if Look(s.db[2-s.gone].view().Attempt) != Rest {
			m.moves(s, i, atObserve, "wakes up:")
		}
		return
	}
	k := good
	if _, act, _ := Survey(s.db[0].view(), s.db[1].view()); act != Rest {
		m.moves(s, i, atObserve, "wakes up:")
		k = adverse // to begin all the same, on what was read earlier of the other side
	} else {
		m.tends(s)
	}
	epoch := 1 + max(s.db[0].epoch, s.db[1].epoch, s.db[0].attemptEpoch, s.db[1].attemptEpoch)
	if epoch > m.epochs || m.wrong && s.verdict != clean {
		return
	}
	begin := func(a, side uint8) {
		n := *s
		n.walk[i] = walker{a, epoch, side, 0}
		m.step(&n, k, label{"means to", n.walk[i]})
	}
	if s.db[0].open == 1 {
		begin(atArm, 0)
	}
	if s.db[1].open == 1 && m.rollback {
		begin(atArm, 1)
	}
	if s.db[1].open == 1 && m.finalize {
		begin(atFinalize, 1)
	}
}

// sends a statement: it runs and the sender learns it or not; it never runs; or it runs later.
func (m *model) sends(s *state, i int) {
	w := s.walk[i]
	r := &m.table[w.at]
	l := letter{w.at, w.epoch, w.side, 0}
	if w.at == atSequences {
		l.part = m.lastIssued(s, w.side)
	}
	if w.at == atRevoke && w.part == 1 {
		n := *s
		m.secure(&n, 1-w.side)
		m.to(&n, i, w, r.next[Done])
		m.step(&n, good, label{"has secured the way back after", w})
		return
	}
	for _, past := range [2]bool{false, true} {
		if past && !r.rule.InTime {
			break
		}
		n := *s
		done, ran := m.runs(&n, l, past)
		if !ran {
			break
		}
		learned, lost := n, n
		m.outcomes[w.at][1-bit(done)] = true
		switch {
		case !done:
			m.to(&learned, i, w, r.next[Refused])
		case w.at == atRevoke && !m.lateStart:
			learned.walk[i].part = 1
		default:
			m.to(&learned, i, w, r.next[Done])
		}
		m.step(&learned, good, label{outcome(done), w})
		m.bad = ""
		m.to(&lost, i, w, r.next[Failed])
		m.step(&lost, adverse, label{"does not learn: " + outcome(done), w})
		if s.faults > 0 && done {
			m.again(&learned, l)
		}
	}
	n, k := *s, adverse
	if on := w.side ^ uint8(r.rule.On); s.lost(on) { // nobody answers, and there is nothing to wait for
		k = good
	}
	m.to(&n, i, w, r.next[Failed])
	m.step(&n, k, label{"it never runs:", w})
	if s.faults > 0 {
		m.stalls(s, i, l, r.next[Failed])
	}
}

func outcome(done bool) string {
	if done {
		return "done:"
	}
	return "refused:"
}

func (m *model) stalls(s *state, i int, l letter, next uint8) {
	for j := range s.late {
		if s.late[j].at == 0 {
			n := *s
			n.late[j] = l
			m.to(&n, i, s.walk[i], next)
			m.step(&n, fault, label{"is sent and stalls:", walker(l)})
			return
		}
	}
}

// again: the statement has run, and will run once more.
func (m *model) again(n *state, l letter) {
	for j := range n.late {
		if n.late[j].at == 0 {
			n.late[j] = l
			m.step(n, fault, label{"done, and will run again:", walker(l)})
			return
		}
	}
}

func (m *model) lastIssued(s *state, side uint8) uint8 {
	if m.sequenceByMax {
		return max(s.db[side].row[0], s.db[side].row[1])
	}
	return s.db[side].next
}

// works does what is no statement.
func (m *model) works(s *state, i int) {
	w := s.walk[i]
	r := &m.table[w.at]
	n := *s
	part := func() { // one after the other
		n.walk[i].part++
		m.step(&n, good, label{"has done a part of", w})
	}
	done := func() {
		m.outcomes[w.at][Done] = true
		m.to(&n, i, w, r.next[Done])
		m.step(&n, good, label{"done:", w})
	}
	switch {
	case w.at == atHold:
		m.commit(&n, w.side, marker|w.epoch)
		done()
	case w.at == atPause && w.part < poolers && !(m.pausesSome && w.part > 0):
		if m.latePooler && s.faults > 0 {
			m.stalls(s, i, letter{atPooler, w.epoch, w.side, w.part}, r.next[Failed])
		}
		n.pooler[w.part].paused = 1
		part()
	case w.at == atPause:
		done()
	case w.at == atDrain:
		if m.drained(s, w) {
			done()
		}
	case w.at == atVerify:
		if m.unverified || s.db[0].row == s.db[1].row {
			done()
		}
	case w.at == atRoute:
		m.routes(s, i)
	case w.at == atResume && m.poolers && w.part < poolers:
		n.pooler[w.part] = pooler{side: w.side}
		part()
	case w.at == atResume:
		if s.gone == 0 {
			m.start(&n, w.side)
			done()
		}
	}
	n = *s
	m.to(&n, i, w, r.next[Failed])
	m.step(&n, good, label{"gives up:", w})
}

func (m *model) drained(s *state, w walker) bool {
	l, log := s.ledger[w.side], s.log[w.side]
	switch {
	case s.gone != 0:
		return false
	case m.drainByAcks:
		return log.published == log.n
	case m.drainByIdle:
		return l[0].n == log.published && l[1].n == log.published
	}
	return l[0].marker == w.epoch && l[1].marker == w.epoch
}

// routes moves the poolers, one after the other, and runs the hook.
func (m *model) routes(s *state, i int) {
	w := s.walk[i]
	n := *s
	next := func(part uint8, what string) {
		n.walk[i].part = part
		m.step(&n, good, label{what, w})
		n = *s
	}
	entered := 1 - w.side
	part := w.part
	if part < poolers && !m.poolers {
		part = poolers
	}
	switch part {
	case 0, 1:
		n.pooler[part] = pooler{side: entered}
		next(part+1, "moves a pooler in")
	case poolers: // the journal is on the side entered
		if m.lateStart {
			m.secure(&n, entered)
		}
		mine := s.hook.epoch == w.epoch
		lives := s.db[entered].open == 1 && s.db[entered].epoch == w.epoch
		switch {
		case !m.hook || mine && s.hook.stage == attested:
			m.outcomes[w.at][Done] = true
			m.to(&n, i, w, m.table[w.at].next[Done])
			m.step(&n, good, label{"done:", w})
		case lives && (!mine || mine && s.hook.stage == intended && m.runsAgain):
			n.hook.epoch, n.hook.stage = w.epoch, max(intended, n.hook.stage)
			if !mine {
				n.hook = hook{epoch: w.epoch, stage: intended}
			}
			next(poolers+1, "wrote its intent, in")
		case lives && s.hook.stage == effective: // its status says so
			n.hook.stage = attested
			next(poolers, "found the hook effective, in")
		}
	case poolers + 1: // it won the intent
		if s.faults > 0 {
			m.stalls(s, i, letter{atRunHook, w.epoch, w.side, 0}, atStop)
		}
		n.hook.ran(w.epoch)
		next(poolers+2, "ran the hook, in")
	case poolers + 2:
		if s.hook.epoch == w.epoch && s.hook.stage == effective {
			n.hook.stage = attested
		}
		next(poolers, "wrote the evidence, in")
	}
}

func (h *hook) ran(epoch uint8) {
	if h.epoch == epoch {
		h.runs, h.stage = h.runs+1, max(h.stage, effective)
	}
}
