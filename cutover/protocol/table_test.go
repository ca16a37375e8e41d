package protocol

import "slices"

// The tables in the form in which they are explored: by number. They are read anew for every exploration, so that a test can change them.

var acts = []Act{"", Rest, Observe, Ask, Arm, Claim, Install, Pause, Hold, Fence, Prove, Drain, Sequences, Verify, Revoke, Begin, Open, Route, Decide,
	Quit, Raise, Yield, Reopen, Resume, Disarm, End, Refence, Finalize, Stop, pausePooler, runHook}

// What can be under way late and is no statement.
const (
	pausePooler Act = "pause a pooler"
	runHook     Act = "run the hook"
)

func at(a Act) uint8 { return uint8(slices.Index(acts, a)) }

var (
	atRest, atStop, atObserve, atAsk, atArm, atPause, atHold, atFence, atDrain                         = at(Rest), at(Stop), at(Observe), at(Ask), at(Arm), at(Pause), at(Hold), at(Fence), at(Drain)
	atSequences, atVerify, atRevoke, atOpen, atRoute, atResume, atEnd, atFinalize, atPooler, atRunHook = at(Sequences), at(Verify), at(Revoke), at(Open), at(Route), at(Resume), at(End), at(Finalize), at(pausePooler), at(runHook)
)

type row struct {
	next      [3]uint8
	rule      Rule
	statement bool
	passes    bool // work without an effect here: whoever comes to it comes to what follows
}

type table []row

func (w *world) compile() table {
	t := make(table, len(acts))
	for i, a := range acts {
		if m, ok := MoveOf(a); ok {
			for o, next := range m.Next {
				t[i].next[o] = at(next)
			}
		}
		t[i].rule, t[i].statement = RuleOf(a)
		switch a {
		case Install, Prove, Disarm:
			t[i].passes = true
		case Hold:
			t[i].passes = !w.earlyMarker
		case Pause:
			t[i].passes = !w.poolers
		case Route:
			t[i].passes = !w.poolers && !w.hook && !w.lateStart
		}
	}
	return t
}
