package protocol

// The small world in which the tables are explored: two databases, the streams between them, those who write to them and those who run the
// cutover. A state is nothing but small numbers, so that it is its own key.

const (
	lanes   = 2 // lane 0 carries key 0, lane 1 key 1, and both the markers
	poolers = 2
	places  = 6    // in a log
	marker  = 0x80 // a log's entry: a marker and its epoch, or a key (second bit) and the number written
	second  = 0x40
)

// state is one moment. Pairs stand for source and target; of a stream the side that it comes from is named.
type state struct {
	db      [2]database
	walk    [2]walker // whoever runs the cutover
	late    [2]letter // statements that were sent and run at some later time, or never
	log     [2]history
	ledger  [2][lanes]passed // of the side that the stream fills
	run     [2]uint8         // an applier that holds the token fills the other side
	secured [2]uint8         // where the stream begins is durable
	zombie  zombie
	tx      transaction
	pooler  [poolers]pooler
	hook    hook

	writes  uint8 // that the application may still begin
	faults  uint8 // that may still happen
	issued  uint8 // the highest number that either side has given out
	decided uint8 // a bit for every epoch that opened a side
	wrong   uint8 // a row of the target that no stream has written
	verdict uint8 // of the last full verification
	gone    uint8 // 1: the source, 2: the target does not answer any more
}

type database struct {
	open, epoch           uint8 // gate
	attempt, attemptEpoch uint8 // the newest attempt to leave this side
	row                   [2]uint8
	next                  uint8 // the last number its sequence has issued
	shut                  uint8 // closed for good, after the soak
}

// walker is an instance: the act that it does next, for which epoch and side, and how far it is with it.
type walker struct{ at, epoch, side, part uint8 }

// letter is a statement under way; part: the number that a sequence is set to, or a pooler.
type letter struct{ at, epoch, side, part uint8 }

// history is what a side's application has committed, and markers. Published is in the stream.
type history struct {
	n, published uint8
	entry        [places]uint8
}

// passed is a lane's ledger row.
type passed struct{ n, marker uint8 }

// zombie is a stalled applier's transaction: the entry that it is about to commit. Stale: its token was taken by another.
type zombie struct{ on, side, lane, entry, stale uint8 }

// transaction of the application that has written and not ended.
type transaction struct{ on, side, key, number uint8 }

type pooler struct{ side, paused uint8 }

// hook is a switch step: how far its journal and it are for an epoch.
type hook struct{ epoch, stage, runs uint8 }

const (
	intended  = 1 + iota // the intent is in the journal
	effective            // it has run
	attested             // the evidence is in the journal
)

const (
	unverified = iota
	clean
	failed
)

// world is a choice of what there is and what can happen.
type world struct {
	name       string
	instances  int
	epochs     uint8
	writes     uint8
	faults     uint8
	rollback   bool
	finalize   bool
	poolers    bool
	latePooler bool // a pause may reach a pooler late
	hook       bool
	zombies    bool
	lag        bool // what is committed is published later
	wrong      bool
	gone       bool
	limit      int // of states; 0: five million

	flaws // of the daemon, that the exploration must find
}

// flaws are ways to build what stands around the tables wrong.
type flaws struct {
	unverified     bool // verification, the second belt, is off
	earlyMarker    bool // the marker is written before the gate is closed
	noWait         bool // the fence does not wait for open transactions
	drainByAcks    bool // drained: all is acknowledged by the broker
	drainByIdle    bool // drained: the lanes have nothing to do
	lateStart      bool // the reverse start is taken after the opening
	noToken        bool // appliers do not check the token
	tokenPerEpoch  bool // a restarted applier keeps the token
	forgetsVerdict bool // a restart takes the migration for verified
	sequenceByMax  bool // from the highest row, not from the last number issued
	setNotRaise    bool // a sequence may be set back
	pausesSome     bool // one pooler is enough
	nobodyTends    bool // nobody looks at poolers and appliers at rest
	runsAgain      bool // a negative probe allows another run of the hook
	strictPoolers  bool // traffic is never on the closed side, word for word
	asksForEver    bool // who waits for the answer of the side entered does not look at the attempt again
	redelivers     bool // the ledger does not look at the sequence
	startsAnyway   bool // an applier starts without a look at the gate
}

func (w *world) first() (s state) {
	s.db[Leaving].open = 1 // the source
	s.run[0], s.secured[0] = 1, 1
	s.writes, s.faults = w.writes, w.faults
	for i := range s.walk {
		s.walk[i].at = atRest
	}
	if w.wrong {
		s.wrong = 1
	}
	return s
}

func (d *database) view() DB {
	return DB{Gate: Gate{Open: d.open == 1, Epoch: int64(d.epoch)}, Attempt: Attempt{State: State(d.attempt), Epoch: int64(d.attemptEpoch)}}
}

func (d *database) take(v DB) {
	d.open, d.epoch, d.attempt, d.attemptEpoch = bit(v.Gate.Open), uint8(v.Gate.Epoch), uint8(v.Attempt.State), uint8(v.Attempt.Epoch)
}

// lost reports whether a side does not answer any more.
func (s *state) lost(side uint8) bool { return s.gone == side+1 }

// serves reports whether the application's writes are taken.
func (d *database) serves() bool { return d.open == 1 && d.shut == 0 }

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// canonical gives states that differ in names only the same form: instances and letters are alike.
func (w *world) canonical(s *state) {
	if a, b := s.walk[0], s.walk[1]; w.instances > 1 && b.less(a) {
		s.walk[0], s.walk[1] = b, a
	}
	if a, b := s.late[0], s.late[1]; walker(b).less(walker(a)) {
		s.late[0], s.late[1] = b, a
	}
}

func (w walker) number() uint32 {
	return uint32(w.at)<<24 | uint32(w.epoch)<<16 | uint32(w.side)<<8 | uint32(w.part)
}

func (w walker) less(o walker) bool { return w.number() < o.number() }
