package protocol

import "slices"

// Act is one thing that whoever runs an attempt does: a statement, which has a [Rule], or work outside those rows.
type Act string

// Statements.
const (
	Arm       Act = "arm"       // take the epoch
	Claim     Act = "claim"     // write the epoch into the closed gate of the other side
	Fence     Act = "fence"     // close the gate, write the marker
	Sequences Act = "sequences" // raise the sequences of the side entered
	Revoke    Act = "revoke"    // lock out the applier that fills the side entered
	Begin     Act = "begin"     // from here on only the gate of the side entered settles the attempt
	Open      Act = "open"      // the decision
	Decide    Act = "decide"    // traffic has been moved
	Quit      Act = "quit"      // give up before the decision
	Raise     Act = "raise"     // make sure that this epoch never opens
	Yield     Act = "yield"     // give up after the epoch was raised
	Reopen    Act = "reopen"    // open the gate of the side being left again
	End       Act = "end"       // everything is undone
	Finalize  Act = "finalize"  // end the soak: the side that is open is never left again
	Refence   Act = "refence"   // a failover lost the fence after the decision: close again
)

// Work outside the rows.
const (
	Install Act = "install" // gate triggers
	Pause   Act = "pause"   // poolers
	Hold    Act = "hold"    // open reads of every table, so that DDL waits
	Prove   Act = "prove"   // nothing prepared is left, the application's write fails
	Drain   Act = "drain"   // the marker is in every lane's ledger
	Verify  Act = "verify"
	Route   Act = "route"  // switch steps
	Resume  Act = "resume" // a new applier with a new token
	Disarm  Act = "disarm" // gate triggers go
	Observe Act = "look"   // read the side being left, see [Look]
	Ask     Act = "settle" // read the gate of the side entered, see [Settle]
	Rest    Act = "rest"   // nothing to do
	Stop    Act = "stop"   // cannot go on now; a later call looks again
)

// Want is a condition on a gate, or what becomes of it.
type Want uint8

const (
	Either Want = iota
	IsOpen
	IsClosed
)

// Compare is a condition on a gate's epoch G, given the attempt's epoch E.
type Compare uint8

const (
	AnyEpoch Compare = iota
	Below            // G < E
	Same             // G = E
	AtMost           // G <= E
)

// Stamp says which epoch a statement writes into the gate.
type Stamp uint8

const (
	Keep Stamp = iota
	This       // E
	Next       // E + 1
)

// Rule is a statement's condition and effect on the database of the side in its role.
type Rule struct {
	Act Act
	On  Role
	// From: the newest attempt has epoch E and one of these states. Empty: the attempt is not looked at.
	From []State
	// Fresh: no attempt to leave this side lives, E is above every epoch this database has seen for the side, and the soak has not been ended.
	Fresh bool
	// Settled: no attempt to leave this side lives. On the side entered it is about the attempt by which that side was once left: what is Deciding
	// is settled by a gate, and so long as it is not, that gate is not closed again.
	Settled bool
	// Lost: this database may have forgotten what attempt E decided, but it knows of no later one. Where the side is closed and no attempt can
	// open it, nothing was lost.
	Lost bool
	// To is the attempt's state afterwards; None: unchanged.
	To State
	// Gate and Epoch are conditions on the gate.
	Gate  Want
	Epoch Compare
	// InTime: the attempt's deadline has not passed.
	InTime bool
	// Set and Stamp are the effect on the gate; Revoke locks out the applier of this side.
	Set    Want
	Stamp  Stamp
	Revoke bool
}

// Rules are all statements.
var Rules = []Rule{
	{Act: Arm, On: Leaving, Fresh: true, To: Armed, Gate: IsOpen, Epoch: Below},
	{Act: Claim, On: Entering, Settled: true, Gate: IsClosed, Epoch: Below, Stamp: This},
	{Act: Fence, On: Leaving, From: []State{Armed}, To: Fenced, Gate: IsOpen, Epoch: Below, Set: IsClosed, Stamp: This},
	{Act: Sequences, On: Entering, Gate: IsClosed, Epoch: Same},
	{Act: Revoke, On: Entering, Gate: IsClosed, Epoch: Same, Revoke: true},
	{Act: Begin, On: Leaving, From: []State{Fenced}, To: Deciding, InTime: true},
	{Act: Open, On: Entering, Gate: IsClosed, Epoch: Same, Set: IsOpen, Revoke: true},
	{Act: Decide, On: Leaving, From: []State{Deciding}, To: Decided},
	{Act: Quit, On: Leaving, From: []State{Armed, Fenced}, To: Aborting},
	{Act: Raise, On: Entering, Gate: IsClosed, Epoch: Same, Stamp: Next},
	{Act: Yield, On: Leaving, From: []State{Deciding}, To: Aborting},
	{Act: Reopen, On: Leaving, From: []State{Aborting}, Epoch: AtMost, Set: IsOpen},
	{Act: End, On: Leaving, From: []State{Aborting}, To: Aborted, Gate: IsOpen},
	{Act: Finalize, On: Leaving, Fresh: true, To: Finalized, Gate: IsOpen, Epoch: Below},
	{Act: Refence, On: Leaving, Lost: true, To: Deciding, Epoch: AtMost, Set: IsClosed, Stamp: This},
}

// RuleOf returns the rule of a statement; ok is false for work.
func RuleOf(a Act) (r Rule, ok bool) {
	i := slices.IndexFunc(Rules, func(r Rule) bool { return r.Act == a })
	if i < 0 {
		return Rule{}, false
	}
	return Rules[i], true
}

// WritesGate reports whether the statement changes the gate's row, or on the side entered locks it: then the row must be locked. The others
// must not lock it, for the application's triggers hold it shared.
func (r Rule) WritesGate() bool { return r.On == Entering || r.Set != Either || r.Stamp != Keep }

// ReadsAttempt reports whether the newest attempt to leave the side matters to the statement. Then its row is locked, before the gate's.
func (r Rule) ReadsAttempt() bool { return r.On == Leaving || r.Settled }

// ReadsGate reports whether the gate matters to the statement at all.
func (r Rule) ReadsGate() bool { return r.WritesGate() || r.Gate != Either || r.Epoch != AnyEpoch }

// Apply runs the statement of epoch e on db: it checks, and changes db and returns true, or changes nothing. Late says that the attempt's
// deadline has passed.
func (r Rule) Apply(db *DB, e int64, late bool) bool {
	a, g := db.Attempt, db.Gate
	switch {
	case len(r.From) > 0 && (a.Epoch != e || !slices.Contains(r.From, a.State)),
		r.Fresh && (a.State.Live() || a.State == Finalized || a.Epoch >= e),
		r.Settled && a.State.Live(),
		r.Lost && (a.Epoch > e || a.Epoch == e && (a.State == Decided || a.State == Finalized) || !g.Open && !a.State.Live()),
		r.Gate == IsOpen && !g.Open,
		r.Gate == IsClosed && g.Open,
		r.Epoch == Below && g.Epoch >= e,
		r.Epoch == Same && g.Epoch != e,
		r.Epoch == AtMost && g.Epoch > e,
		r.InTime && late:
		return false
	}
	if r.To != None {
		db.Attempt = Attempt{State: r.To, Epoch: e}
	}
	switch r.Set {
	case IsOpen:
		db.Gate.Open = true
	case IsClosed:
		db.Gate.Open = false
	case Either:
	}
	switch r.Stamp {
	case This:
		db.Gate.Epoch = e
	case Next:
		db.Gate.Epoch = e + 1
	case Keep:
	}
	if r.Revoke {
		db.Tokens++
	}
	return true
}
