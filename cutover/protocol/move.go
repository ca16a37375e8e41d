package protocol

// Step is a step of the cutover as the report names it.
type Step string

const (
	Prepared   Step = "prepared"
	Converged  Step = "converged"
	StepArmed  Step = "armed"
	Paused     Step = "paused"
	StepFenced Step = "fenced"
	Drained    Step = "drained"
	Verified   Step = "verified"
	Reversible Step = "reversible"
	StepDecide Step = "decided"
	Routed     Step = "routed"
	StepFinal  Step = "finalized"
	Undo       Step = "aborted" // the steps of an abort
)

// Outcome of an act.
type Outcome uint8

const (
	Done    Outcome = iota
	Refused         // the statement found its row changed, or the work says no: it changed nothing
	Failed          // unknown: it may have run, may run later, may never run
)

// Move says what follows an act.
type Move struct {
	Act  Act
	Step Step
	// Next acts after Done, Refused and Failed. An act that follows itself is tried again.
	Next [3]Act
}

// Moves is the cutover. It starts at [Arm], the end of the soak at [Finalize]; an instance that knows nothing starts at [Observe].
var Moves = []Move{
	{Arm, StepArmed, [3]Act{Claim, Rest, Quit}},
	{Claim, StepArmed, [3]Act{Install, Quit, Quit}},
	{Install, StepArmed, [3]Act{Pause, Quit, Quit}},
	{Pause, Paused, [3]Act{Hold, Quit, Quit}},
	{Hold, StepFenced, [3]Act{Fence, Quit, Quit}},
	{Fence, StepFenced, [3]Act{Prove, Observe, Quit}},
	{Prove, StepFenced, [3]Act{Drain, Quit, Quit}},
	{Drain, Drained, [3]Act{Sequences, Quit, Quit}},
	{Sequences, Verified, [3]Act{Verify, Quit, Quit}},
	{Verify, Verified, [3]Act{Revoke, Quit, Quit}},
	{Revoke, Reversible, [3]Act{Begin, Quit, Quit}},
	{Begin, StepDecide, [3]Act{Open, Quit, Quit}},
	{Open, StepDecide, [3]Act{Route, Ask, Ask}},
	{Route, Routed, [3]Act{Decide, Stop, Stop}},
	{Decide, Routed, [3]Act{Rest, Observe, Stop}},

	{Finalize, StepFinal, [3]Act{Rest, Observe, Stop}},

	{Quit, Undo, [3]Act{Reopen, Observe, Quit}},
	{Ask, StepDecide, [3]Act{Ask, Ask, Ask}},
	{Raise, StepDecide, [3]Act{Yield, Ask, Ask}},
	{Yield, Undo, [3]Act{Reopen, Observe, Observe}},
	{Reopen, Undo, [3]Act{Resume, Observe, Reopen}},
	{Resume, Undo, [3]Act{Disarm, Stop, Stop}},
	{Disarm, Undo, [3]Act{End, Stop, Stop}},
	{End, Undo, [3]Act{Rest, Observe, End}},
	{Refence, StepFenced, [3]Act{Route, Observe, Stop}},
}

// MoveOf returns the row of an act; ok is false for acts that end a run or decide by themselves what follows.
func MoveOf(a Act) (m Move, ok bool) {
	for _, m := range Moves {
		if m.Act == a {
			return m, true
		}
	}
	return Move{}, false
}

// Look says what an instance that knows nothing does, given the newest attempt to leave a side.
func Look(a Attempt) Act {
	switch a.State {
	case Armed, Fenced:
		return Quit
	case Deciding:
		return Ask
	case Aborting:
		return Reopen
	case None, Decided, Aborted, Finalized:
		return Rest
	default:
		return Stop
	}
}

// Settle says what follows once an attempt of epoch e is Deciding, given the gate of the side entered: it is open, and the attempt rolls
// forward; it is closed, and its epoch is raised; it was raised. Open under a later epoch, somebody else has ended this attempt and made another.
// A gate that never saw the epoch is not the gate that was claimed: somebody restored or exchanged that server, and a person has to look.
func Settle(g Gate, e int64) Act {
	switch {
	case g.Epoch == e && g.Open:
		return Route
	case g.Epoch == e:
		return Raise
	case g.Epoch > e && !g.Open:
		return Yield
	case g.Epoch > e:
		return Observe
	default:
		return Stop
	}
}

// Rediscover says what a failover of the side being left may have undone: the other side stands open under an epoch whose decision this
// database does not know of. Then it is closed again before anything else, whatever its attempt says. A side that is closed, and that no attempt
// can open, has lost nothing: the other side's epoch is above its own where a rollback was fenced and given up. An open gate of epoch 0 was never
// closed. With both open, the one of the lower epoch has forgotten, or the one
// that made the attempt by which the other was opened.
func Rediscover(leaving, entered DB) Act {
	a, g := leaving.Attempt, entered.Gate
	known := a.Epoch == g.Epoch && (a.State == Deciding || a.State == Decided)
	opens := a.State.Live() || leaving.Gate.Open && (leaving.Gate.Epoch < g.Epoch || a.Epoch == g.Epoch)
	if g.Open && g.Epoch > 0 && a.Epoch <= g.Epoch && !known && opens {
		return Refence
	}
	return Look(a)
}

// Survey says what an instance that knows nothing does, given both databases: the act, the side being left by it and its epoch. At rest the side
// that is open is the one that can be left. Of two attempts the older is settled first: the younger waits for it, see [Rule.Settled].
func Survey(source, target DB) (leaving Side, act Act, epoch int64) {
	type found struct {
		side  Side
		act   Act
		epoch int64
	}
	look := func(side Side, db, other DB) found {
		f := found{side, Rediscover(db, other), db.Attempt.Epoch}
		if f.act == Refence {
			f.epoch = other.Gate.Epoch
		}
		return f
	}
	first, second := look(Source, source, target), look(Target, target, source)
	if first.act == Rest || second.act != Rest && second.epoch < first.epoch {
		first, second = second, first
	}
	if first.act != Rest {
		return first.side, first.act, first.epoch
	}
	if target.Gate.Open {
		return Target, Rest, target.Attempt.Epoch
	}
	return Source, Rest, source.Attempt.Epoch
}
