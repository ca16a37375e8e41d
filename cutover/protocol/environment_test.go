package protocol

// What happens around those who run the cutover: the application writes, the streams flow, what was sent arrives late.

// runs executes a statement. Done: its condition held and it changed its database. It does not run at all while it waits for a lock, or its
// database is gone.
func (m *model) runs(s *state, l letter, past bool) (done, ran bool) {
	r := &m.table[l.at].rule
	side := l.side
	if r.On == Entering {
		side = 1 - l.side
	}
	if s.lost(side) {
		return false, false
	}
	db := s.db[side].view()
	if !r.Apply(&db, int64(l.epoch), past) {
		return false, true
	}
	if l.at == atFence && s.tx.on == 1 && s.tx.side == side && !m.noWait {
		return false, false // the gate waits for every transaction that has written
	}
	s.db[side].take(db)
	if r.Revoke {
		m.revoke(s, l.side)
	}
	switch l.at {
	case atFence:
		if !m.earlyMarker {
			m.commit(s, side, marker|l.epoch)
		}
		m.fenced(s)
	case atSequences:
		if m.setNotRaise || l.part > s.db[side].next {
			s.db[side].next = l.part
		}
	case atOpen:
		m.opened(s, l)
	case atEnd:
		m.ended(s, l)
	case atFinalize:
		s.db[1-side].shut = 1 // it stays closed by triggers that need nothing of ours
	}
	return true, true
}

// revoke locks out whoever applies what comes from a side.
func (m *model) revoke(s *state, from uint8) {
	s.run[from] = 0
	if s.zombie.on == 1 && s.zombie.side == from {
		s.zombie.stale = 1
	}
}

// start takes a new token, in a transaction that finds the side that it fills closed, and no attempt under way that could reopen it.
func (m *model) start(s *state, from uint8) {
	to := &s.db[1-from]
	if (to.open == 1 || State(to.attempt).Live()) && !m.startsAnyway || s.secured[from] == 0 {
		return
	}
	if !m.tokenPerEpoch {
		m.revoke(s, from)
	}
	s.run[from] = 1
}

// secure makes durable where the stream from a side begins. What is durable stays.
func (m *model) secure(s *state, from uint8) {
	if s.secured[from] == 1 {
		return
	}
	s.secured[from] = 1
	for i := range s.ledger[from] {
		s.ledger[from][i].n = s.log[from].n
	}
}

func (m *model) commit(s *state, side, entry uint8) {
	h := &s.log[side]
	h.entry[h.n] = entry
	h.n++
	if !m.lag {
		h.published = h.n
	}
}

// surroundings emits everything that those who run the cutover do not do.
func (m *model) surroundings(s *state) {
	for j, l := range s.late {
		if l.at != 0 {
			m.arrives(s, j)
		}
	}
	m.application(s)
	for from := range uint8(2) {
		m.stream(s, from)
	}
	if s.zombie.on == 1 {
		n := *s
		n.zombie = zombie{}
		if s.zombie.stale == 0 || m.noToken {
			m.apply(&n, s.zombie.side, s.zombie.lane, s.zombie.entry)
		}
		m.step(&n, adverse, label{"a stalled applier goes on", walker{side: s.zombie.side, part: s.zombie.lane}})
	}
	if m.wrong {
		m.verifies(s)
	}
	for side := range uint8(2) {
		if other := &s.db[1-side]; m.gone && s.gone == 0 && (other.open == 1 || State(other.attempt).Live()) { // the one that serves, or is being left, stays
			n := *s
			n.gone = side + 1
			m.step(&n, adverse, label{"a side is gone:", walker{side: side}})
		}
	}
}

// arrives: a late statement runs.
func (m *model) arrives(s *state, j int) {
	l := s.late[j]
	n := *s
	n.late[j] = letter{}
	switch l.at {
	case atPooler:
		n.pooler[l.part].paused = 1
	case atRunHook:
		n.hook.ran(l.epoch)
	default:
		if _, ran := m.runs(&n, l, false); !ran {
			return
		}
	}
	m.step(&n, adverse, label{"runs late:", walker(l)})
	m.bad = ""
}

// application writes wherever a gate is open: more than any pooler lets through. Numbers are drawn before, and are used up by a rollback too.
func (m *model) application(s *state) {
	if t := s.tx; t.on == 1 {
		n := *s
		n.tx = transaction{}
		m.step(&n, good, label{"the application rolls back", walker{side: t.side}})
		n.db[t.side].row[t.key] = t.number
		m.commit(&n, t.side, t.key*second|t.number)
		m.step(&n, good, label{"the application commits", walker{side: t.side, part: t.key}})
		return
	}
	if s.writes == 0 {
		return
	}
	for side := range uint8(2) {
		if !s.db[side].serves() || s.lost(side) {
			continue
		}
		for key := range uint8(2) {
			n := *s
			d := &n.db[side]
			d.next++
			if d.next <= n.issued {
				m.bad = "I11: a number was issued twice"
			}
			n.issued = max(n.issued, d.next)
			n.writes--
			n.tx = transaction{1, side, key, d.next}
			m.step(&n, good, label{"the application writes", walker{side: side, part: key}})
			m.bad = ""
		}
	}
}

// stream from a side: what is committed is published, and applied lane by lane.
func (m *model) stream(s *state, from uint8) {
	if s.gone != 0 {
		return
	}
	if s.log[from].published < s.log[from].n {
		n := *s
		n.log[from].published++
		m.step(&n, good, label{"an entry is published", walker{side: from}})
	}
	if s.run[from] == 0 {
		return
	}
	for lane := range uint8(lanes) {
		at := s.ledger[from][lane].n
		if at > 0 && m.redelivers { // else the ledger's sequence is not the one before the entry's, and nothing happens
			n := *s
			m.apply(&n, from, lane, at-1)
			m.step(&n, adverse, label{"an entry is delivered again", walker{side: from, part: lane}})
			m.bad = ""
		}
		if at == s.log[from].published {
			continue
		}
		n := *s
		m.apply(&n, from, lane, at)
		m.step(&n, good, label{"a lane commits", walker{side: from, part: lane}})
		m.bad = ""
		if m.zombies && s.faults > 0 && s.zombie.on == 0 {
			n = *s
			n.zombie = zombie{on: 1, side: from, lane: lane, entry: at}
			if !m.tokenPerEpoch { // another applier has taken its place
				n.zombie.stale = 1
			}
			m.step(&n, fault, label{"an applier stalls and is replaced", walker{side: from, part: lane}})
		}
	}
}

// apply commits one entry and the ledger.
func (m *model) apply(s *state, from, lane, at uint8) {
	entry, to := s.log[from].entry[at], &s.db[1-from]
	p := &s.ledger[from][lane]
	if at < p.n {
		m.bad = "I3: a lane went back"
	}
	p.n = at + 1
	switch {
	case entry&marker != 0:
		p.marker = entry &^ marker
	case entry/second == lane:
		if to.open == 1 {
			m.bad = "I15: an open side takes a row from the applier that filled it"
		}
		to.row[lane] = entry % second
	}
}

// tends: at rest poolers and appliers are compared with the gates and put right.
func (m *model) tends(s *state) {
	if m.nobodyTends {
		return
	}
	open := uint8(0)
	if s.db[1].open == 1 {
		open = 1
	}
	if m.poolers {
		for i, p := range s.pooler {
			if p != (pooler{side: open}) {
				n := *s
				n.pooler[i] = pooler{side: open}
				m.step(&n, good, label{"at rest a pooler is put right", walker{side: open}})
			}
		}
	}
	if s.run[open] == 0 && s.secured[open] == 1 {
		n := *s
		m.start(&n, open)
		m.step(&n, good, label{"at rest an applier is started", walker{side: open}})
	}
}

// verifies in full, before a cutover is allowed, and repairs what it finds.
func (m *model) verifies(s *state) {
	n := *s
	switch s.verdict {
	case unverified:
		n.verdict = clean + s.wrong
		m.step(&n, good, label{what: "a full verification ends"})
	case failed:
		n.verdict, n.wrong = unverified, 0
		m.step(&n, good, label{what: "the difference is repaired"})
	}
}
