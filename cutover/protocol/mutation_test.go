package protocol

import (
	"slices"
	"strings"
	"testing"
)

// The exploration finds what the tables and the daemon are so careful for: every mutation comes to a state that must not be. Some conditions
// stand for each other; those are taken away together. Verification, the second belt, is taken away where it would hide the first.
type mutation struct {
	name  string
	rules func()
	in    world
	finds string // the invariant that is broken first
}

var (
	back     = world{instances: 1, epochs: 2, writes: 2, faults: 1, rollback: true}
	two      = world{instances: 2, epochs: 2, writes: 0, faults: 1}
	twoBack  = world{instances: 2, epochs: 2, writes: 1, faults: 1, rollback: true}
	thrice   = world{instances: 1, epochs: 3, writes: 0, faults: 1, rollback: true}
	pooled   = world{instances: 1, epochs: 2, faults: 1, rollback: true, poolers: true, latePooler: true}
	finishes = world{instances: 2, epochs: 3, rollback: true, finalize: true}
)

func (w world) with(f flaws) world {
	w.flaws = f
	return w
}

// What the cutovers of others got wrong.
var known = []mutation{
	{name: "the marker is written before the gate is closed", in: back.with(flaws{earlyMarker: true, unverified: true}), finds: "I2"},
	{name: "the fence does not wait for open transactions", in: back.with(flaws{noWait: true, unverified: true}), finds: "I7"},
	{name: "drained by acknowledgements", in: back.with(flaws{drainByAcks: true, unverified: true}), finds: "I9"},
	{name: "idle is drained", in: world{instances: 1, epochs: 1, writes: 1, lag: true, flaws: flaws{drainByIdle: true, unverified: true}}, finds: "I9"},
	{name: "the reverse start is taken after the opening", in: back.with(flaws{lateStart: true, unverified: true}), finds: "I2"},
	{name: "the opening is sent before its intent", rules: func() {
		move(Revoke).Next[Done], move(Open).Next[Done], move(Begin).Next[Done] = Open, Begin, Route
	}, in: two, finds: "I6"},
	{name: "no token", in: world{instances: 1, epochs: 2, writes: 2, faults: 1, zombies: true, flaws: flaws{noToken: true}}, finds: "I3"},
	{name: "abort from DECIDING without raising the epoch of the side entered", rules: func() { rule(Quit).From = []State{Armed, Fenced, Deciding} }, in: two, finds: "I6"},
	{name: "a restart forgets a failed verification", in: world{instances: 1, epochs: 1, wrong: true, flaws: flaws{forgetsVerdict: true}}, finds: "I10"},
	{name: "sequences go on from the highest row", in: back.with(flaws{sequenceByMax: true}), finds: "I11"},
	{name: "some poolers are paused", in: world{instances: 1, epochs: 1, poolers: true, flaws: flaws{pausesSome: true}}, finds: "I17"},
}

// Readings of the design that fail.
var readings = []mutation{
	{name: "reopening without a check of the attempt", rules: func() { rule(Reopen).From, rule(Reopen).Epoch = nil, AnyEpoch }, in: two, finds: "I1"},
	{name: "fence without compare-and-set", rules: func() { rule(Fence).From, rule(Fence).To, rule(Fence).Epoch = nil, None, AnyEpoch }, in: two, finds: "L2"},
	{name: "below FENCED an abort just forgets, and the fence checks nothing", rules: func() {
		rule(Fence).From = nil
		rule(Quit).To = Aborted
		move(Quit).Next = [3]Act{Rest, Observe, Quit}
	}, in: two, finds: "L2"},
	{name: "arming without a condition", rules: func() { rule(Arm).Fresh, rule(Arm).Epoch, rule(Arm).Gate = false, AnyEpoch, Either }, in: two, finds: "I6"},
	{name: "closing does not write the epoch into its own gate", rules: func() { rule(Fence).Stamp = Keep }, in: back, finds: "I6"},
	{name: "raising whatever the epoch is", rules: func() { rule(Raise).Epoch = AnyEpoch }, in: world{instances: 1, epochs: 3, faults: 1}, finds: "L2"},
	{name: "the token is the cutover's epoch", in: world{instances: 1, epochs: 1, writes: 2, faults: 1, zombies: true, flaws: flaws{tokenPerEpoch: true}}, finds: "I3"},
	{name: "sequences are set without a condition", rules: func() { rule(Sequences).Gate, rule(Sequences).Epoch = Either, AnyEpoch }, in: back.with(flaws{setNotRaise: true}), finds: "I11"},
	{name: "a rollback while the attempt is DECIDING", rules: func() { rule(Claim).Settled = false }, in: twoBack, finds: "I6"},
	{name: "an entry that is delivered again is applied again", in: back.with(flaws{redelivers: true}), finds: "I3"},
	{name: "who is not answered does not look at the attempt again", in: world{instances: 1, epochs: 1, faults: 1, gone: true, flaws: flaws{asksForEver: true}}, finds: "L2"},
	{name: "an applier starts without a look at the gate", in: world{instances: 2, epochs: 2, flaws: flaws{startsAnyway: true}}, finds: "I15"},
	{name: "finalize beside the row of attempts", rules: func() { rule(Finalize).Fresh, rule(Finalize).To, rule(Finalize).Epoch = false, None, AnyEpoch }, in: finishes, finds: "L2"},
	{name: "a finalized side is left", rules: func() { rule(Finalize).To = Aborted }, in: finishes, finds: "L2"},
	{name: "nobody looks at poolers at rest", in: pooled.with(flaws{nobodyTends: true}), finds: "L2"},
	{name: "a negative probe allows a second run of the hook", in: world{instances: 2, epochs: 1, faults: 1, hook: true, flaws: flaws{runsAgain: true}}, finds: "I18"},
	{name: "traffic is on the open side word for word, with two instances", in: world{instances: 2, epochs: 2, poolers: true, flaws: flaws{strictPoolers: true}}, finds: "I12"},
}

// Conditions of the tables, one by one.
var conditions = []mutation{
	{name: "arm: fresh, epoch", rules: func() { rule(Arm).Fresh, rule(Arm).Epoch = false, AnyEpoch }, in: two, finds: "L2"},
	{name: "begin: fenced", rules: func() { rule(Begin).From = nil }, in: two, finds: "I1"},
	{name: "claim: epoch", rules: func() { rule(Claim).Epoch = AnyEpoch }, in: two, finds: "I6"},
	{name: "open: epoch", rules: func() { rule(Open).Epoch = AnyEpoch }, in: two, finds: "I6"},
	{name: "raise: closed", rules: func() { rule(Raise).Gate = Either }, in: two, finds: "I6"},
	{name: "raise: next", rules: func() { rule(Raise).Stamp = Keep }, in: two, finds: "I6"},
	{name: "yield: deciding", rules: func() { rule(Yield).From = nil }, in: world{instances: 1, epochs: 4, faults: 1}, finds: "I6"},
	{name: "decide: deciding", rules: func() { rule(Decide).From = nil }, in: thrice, finds: "L2"},
	{name: "end: aborting", rules: func() { rule(End).From, rule(End).Gate = nil, Either }, in: two, finds: "I5"},
	{name: "refence: something is lost", rules: func() { rule(Refence).Lost, rule(Refence).Epoch = false, AnyEpoch }, in: back, finds: "I6"},
	{name: "open: no token is taken", rules: func() { rule(Open).Revoke, rule(Revoke).Revoke = false, false }, in: back, finds: "I15"},
	{name: "settle: raise", rules: func() { move(Raise).Next = [3]Act{Yield, Ask, Yield} }, in: two, finds: "I6"},
	{name: "deciding is settled", rules: func() { move(Open).Next = [3]Act{Route, Yield, Yield} }, in: two, finds: "I6"},
	{name: "abort: an applier is started", rules: func() { move(Reopen).Next[Done] = End }, in: back.with(flaws{nobodyTends: true}), finds: "L2"},
}

func TestTheExplorationFindsEveryMutation(t *testing.T) {
	for kind, list := range map[string][]mutation{"known": known, "reading": readings, "condition": conditions} {
		for _, m := range list {
			t.Run(kind+": "+m.name, func(t *testing.T) {
				rules, moves := slices.Clone(Rules), slices.Clone(Moves)
				defer func() { Rules, Moves = rules, moves }()
				if m.rules != nil {
					m.rules()
				}
				n, err := m.in.explore()
				switch {
				case err == nil:
					t.Errorf("%d states and nothing is wrong", n)
				case !strings.HasPrefix(err.Error(), m.finds) || strings.HasPrefix(err.Error(), "more than"):
					t.Errorf("after %d states: found %v, want %s", n, err, m.finds)
				default:
					t.Logf("after %d states: %v", n, err)
				}
			})
		}
	}
}

// Each mutation is in a world that holds without it.
func TestTheWorldsOfTheMutationsHold(t *testing.T) {
	var held []world
	for _, w := range worlds {
		w.name = ""
		held = append(held, w)
	}
	for _, list := range [][]mutation{known, readings, conditions} {
		for _, m := range list {
			m.in.flaws = flaws{}
			if slices.Contains(held, m.in) {
				continue
			}
			held = append(held, m.in)
			if n, err := m.in.explore(); err != nil {
				t.Errorf("%s: after %d states: %v", m.name, n, err)
			}
		}
	}
}

func rule(a Act) *Rule {
	return &Rules[slices.IndexFunc(Rules, func(r Rule) bool { return r.Act == a })]
}

func move(a Act) *Move {
	return &Moves[slices.IndexFunc(Moves, func(m Move) bool { return m.Act == a })]
}
