package protocol

import (
	"fmt"
	"slices"
	"testing"
)

// The tables are explored exhaustively in a small world: two databases, two instances that act at the same time on what they have read, a
// statement that was sent and runs late. A statement runs at once and its sender learns the outcome; or it runs, or does not run, or runs later,
// and the sender learns nothing. Any instance may crash between any two acts and begin anew. The target may not answer when it is looked at.

// walker is one instance: the act that it does next and for which epoch.
type walker struct {
	at    Act
	epoch int64
}

// world is a state.
type world struct {
	source, target DB
	walkers        [2]walker
	late           walker // a statement under way; no act: none
}

// key is a state as a value for a map. The two instances are alike.
type key [14]byte

func (w world) key() (k key) {
	bit := func(b bool) byte {
		if b {
			return 1
		}
		return 0
	}
	a, b := w.walkers[0], w.walkers[1]
	if a.at > b.at || a.at == b.at && a.epoch > b.epoch {
		a, b = b, a
	}
	return key{bit(w.source.Gate.Open), byte(w.source.Gate.Epoch), byte(w.source.Attempt.State), byte(w.source.Attempt.Epoch), bit(w.target.Gate.Open), byte(w.target.Gate.Epoch),
		number(a.at), byte(a.epoch), number(b.at), byte(b.epoch), number(w.late.at), byte(w.late.epoch)}
}

var numbers = map[Act]byte{}

func number(a Act) byte {
	n, ok := numbers[a]
	if !ok {
		n = byte(len(numbers))
		numbers[a] = n
	}
	return n
}

const epochs = 3 // of the attempts that are made

func (w world) open() bool { return w.source.Gate.Open && w.target.Gate.Open }

// on runs a statement and reports whether it changed its database.
func (w *world) on(a Act, epoch int64, past bool) bool {
	r, _ := RuleOf(a)
	db := &w.source
	if r.On == Entering {
		db = &w.target
	}
	ok := r.Apply(db, epoch, past)
	db.Tokens = 0 // only grows
	return ok
}

// next lists what can happen in a state.
func (w world) next() (out []world) {
	if w.late.at != "" {
		n := w
		n.late = walker{}
		n.on(w.late.at, w.late.epoch, false)
		out = append(out, n)
	}
	for i := range w.walkers {
		out = append(out, w.steps(i)...)
		if w.walkers[i].at != Observe {
			n := w // it crashes, and another takes its place
			n.walkers[i] = walker{at: Observe}
			out = append(out, n)
		}
	}
	return out
}

// steps lists what walker i can do.
func (w world) steps(i int) (out []world) {
	me := w.walkers[i]
	// Work changes neither database: whoever comes to it comes to what follows.
	var to func(n world, at Act, epoch int64)
	to = func(n world, at Act, epoch int64) {
		mv, work := MoveOf(at)
		if _, statement := RuleOf(at); work && !statement && at != Ask || at == Sequences || at == Revoke {
			to(n, mv.Next[Done], epoch)
			to(n, mv.Next[Failed], epoch)
			return
		}
		n.walkers[i] = walker{at, epoch}
		out = append(out, n)
	}
	mv, _ := MoveOf(me.at)
	_, statement := RuleOf(me.at)
	switch {
	case me.at == Rest || me.at == Stop:
		epoch := 1 + max(w.source.Gate.Epoch, w.source.Attempt.Epoch, w.target.Gate.Epoch)
		if epoch <= epochs && !w.source.Attempt.State.Live() && w.source.Attempt.State != Decided {
			to(w, Arm, epoch)
		}
	case me.at == Observe:
		epoch := w.source.Attempt.Epoch
		to(w, Look(w.source.Attempt), epoch) // the target does not answer
		if act := Rediscover(w.source, w.target); act == Refence {
			to(w, act, w.target.Gate.Epoch)
		} else {
			to(w, act, epoch)
		}
	case me.at == Ask:
		to(w, Settle(w.target.Gate, me.epoch), me.epoch)
	case statement:
		for _, past := range []bool{false, true} {
			if r, _ := RuleOf(me.at); past && !r.InTime {
				continue
			}
			n := w
			if n.on(me.at, me.epoch, past) {
				to(n, mv.Next[Done], me.epoch)
			} else {
				to(n, mv.Next[Refused], me.epoch)
			}
			to(n, mv.Next[Failed], me.epoch)
		}
		to(w, mv.Next[Failed], me.epoch) // it never runs
		if w.late.at == "" {
			n := w
			n.late = me
			to(n, mv.Next[Failed], me.epoch)
		}
	}
	return out
}

// settles runs one instance alone and without faults: it must come to rest with one side open.
func (w world) settles() error {
	w.late, w.walkers = walker{}, [2]walker{{at: Observe}, {at: Rest}}
	for range 60 {
		switch me := w.walkers[0]; me.at {
		case Rest:
			if w.source.Gate.Open == w.target.Gate.Open {
				return fmt.Errorf("at rest with source open %v, target open %v", w.source.Gate.Open, w.target.Gate.Open)
			}
			return nil
		case Stop:
			return fmt.Errorf("stopped, and nothing has failed")
		case Observe:
			w = w.steps(0)[1] // the target answers
		default:
			w = w.steps(0)[0]
		}
	}
	return fmt.Errorf("does not come to rest")
}

// explore visits every state that can be reached and returns how many, or the first that must not be.
func explore() (int, error) {
	first := world{source: DB{Gate: Gate{Open: true}}, walkers: [2]walker{{at: Rest}, {at: Rest}}}
	seen, queue := map[key]bool{first.key(): true}, []world{first}
	type databases struct{ source, target DB }
	settled := map[databases]bool{}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		if w.open() {
			return len(seen), fmt.Errorf("both sides are open: %+v", w)
		}
		if a := w.source.Attempt; w.target.Gate.Open && (a.State != Deciding && a.State != Decided || a.Epoch != w.target.Gate.Epoch) {
			return len(seen), fmt.Errorf("the target is open and the attempt is %s %d: %+v", a.State, a.Epoch, w)
		}
		if d := (databases{w.source, w.target}); !settled[d] {
			settled[d] = true
			if err := w.settles(); err != nil {
				return len(seen), fmt.Errorf("%w: %+v", err, w)
			}
		}
		for _, n := range w.next() {
			if k := n.key(); !seen[k] {
				seen[k] = true
				queue = append(queue, n)
			}
		}
	}
	return len(seen), nil
}

func TestNeverBothSidesOpenAndAlwaysOneInTheEnd(t *testing.T) {
	n, err := explore()
	if err != nil {
		t.Fatal(err)
	}
	if n < 10_000 {
		t.Errorf("only %d states", n)
	}
	t.Logf("%d states", n)
}

// The exploration finds what the conditions are there for: without them it comes to a state that must not be. Some conditions stand for each
// other; those are taken away together.
func TestTheExplorationFindsAMissingCondition(t *testing.T) {
	for name, mutate := range map[string]func(){
		"arm: fresh, epoch":    func() { rule(Arm).Fresh, rule(Arm).Epoch = false, AnyEpoch },
		"begin: fenced":        func() { rule(Begin).From = nil },
		"quit: before":         func() { rule(Quit).From = []State{Armed, Fenced, Deciding} },
		"reopen: state, epoch": func() { rule(Reopen).From, rule(Reopen).Epoch = nil, AnyEpoch },
		"open: epoch":          func() { rule(Open).Epoch = AnyEpoch },
		"claim: epoch":         func() { rule(Claim).Epoch = AnyEpoch },
		"raise: closed":        func() { rule(Raise).Gate = Either },
		"raise: next":          func() { rule(Raise).Stamp = Keep },
		"settle: raise":        func() { *move(Raise) = Move{Raise, StepDecide, [3]Act{Yield, Ask, Yield}} },
		"deciding is settled":  func() { *move(Open) = Move{Open, StepDecide, [3]Act{Route, Yield, Yield}} },
	} {
		t.Run(name, func(t *testing.T) {
			rules, moves := slices.Clone(Rules), slices.Clone(Moves)
			defer func() { Rules, Moves = rules, moves }()
			mutate()
			if n, err := explore(); err == nil {
				t.Errorf("%d states and nothing is wrong", n)
			} else {
				t.Logf("after %d states: %v", n, err)
			}
		})
	}
}

func rule(a Act) *Rule {
	return &Rules[slices.IndexFunc(Rules, func(r Rule) bool { return r.Act == a })]
}

func move(a Act) *Move {
	return &Moves[slices.IndexFunc(Moves, func(m Move) bool { return m.Act == a })]
}
