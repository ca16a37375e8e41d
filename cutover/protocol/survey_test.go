package protocol

import "testing"

// After a failover that lost what the source had committed about a cutover, or the target about a rollback, whoever looks closes the side that was
// left again, and the side that was entered goes on alone.
func TestAFenceThatAFailoverLostIsClosedAgain(t *testing.T) {
	open, closed := func(e int64) Gate { return Gate{Open: true, Epoch: e} }, func(e int64) Gate { return Gate{Epoch: e} }
	for name, lost := range map[string]DB{
		"everything":                {Gate: open(0)},
		"everything, after 1 and 2": {Gate: open(2), Attempt: Attempt{Decided, 1}},
		"the fence":                 {Gate: open(2), Attempt: Attempt{Armed, 3}},
		"the intent, and gave up":   {Gate: open(3), Attempt: Attempt{Aborted, 3}},
		"the intent":                {Gate: closed(3), Attempt: Attempt{Fenced, 3}},
		"the evidence":              {Gate: closed(3), Attempt: Attempt{Deciding, 3}},
		"an older evidence":         {Gate: closed(1), Attempt: Attempt{Deciding, 1}},
	} {
		for _, left := range []Side{Source, Target} {
			leaving, entered := lost, DB{Gate: open(3)}
			for range 20 {
				source, target := leaving, entered
				if left == Target {
					source, target = entered, leaving
				}
				side, act, epoch := Survey(source, target)
				if act == Rest {
					break
				}
				if side != left {
					t.Errorf("%s: the %s is left, %s is for the %s", name, left, act, side)
				}
				if act == Ask {
					act = Settle(entered.Gate, epoch)
				}
				if act == Route {
					act = Decide
				}
				r, _ := RuleOf(act)
				if r.On != Leaving || !r.Apply(&leaving, epoch, false) {
					t.Errorf("%s, %s left: %s %d does not run", name, left, act, epoch)
				}
			}
			if leaving.Gate.Open || leaving.Attempt != (Attempt{Decided, 3}) || entered != (DB{Gate: open(3)}) {
				t.Errorf("%s, %s left: ends as %+v beside %+v", name, left, leaving, entered)
			}
		}
	}
}

// A rollback that was fenced and given up leaves the side that is open with a later epoch than the decision: nothing was lost, and nothing is done.
func TestARollbackGivenUpIsNoLostFence(t *testing.T) {
	source := DB{Gate: Gate{Epoch: 2}, Attempt: Attempt{Decided, 1}}
	target := DB{Gate: Gate{Open: true, Epoch: 2}, Attempt: Attempt{Aborted, 2}}
	if side, act, epoch := Survey(source, target); side != Target || act != Rest || epoch != 2 {
		t.Errorf("%s %s %d", side, act, epoch)
	}
	r, _ := RuleOf(Refence)
	if was := source; r.Apply(&source, 2, false) || source != was {
		t.Errorf("closed again: %+v", source)
	}
}
