package protocol

import (
	"testing"
	"time"
)

// Every world varies some of what can happen: all of it at once would be too much to explore.
var worlds = []world{
	{name: "one instance there and back and there", instances: 1, epochs: 3, writes: 2, faults: 0, rollback: true},
	{name: "one instance there and back", instances: 1, epochs: 2, writes: 2, faults: 1, rollback: true},
	{name: "two instances and a rollback", instances: 2, epochs: 2, writes: 1, faults: 1, rollback: true},
	{name: "two late statements", instances: 1, epochs: 3, writes: 0, faults: 2, rollback: true},
	{name: "zombie appliers", instances: 1, epochs: 2, writes: 2, faults: 1, rollback: true, zombies: true},
	{name: "what is committed is published later", instances: 1, epochs: 2, writes: 2, rollback: true, lag: true},
	{name: "poolers", instances: 1, epochs: 2, writes: 0, faults: 0, rollback: true, poolers: true},
	{name: "poolers that pause late", instances: 1, epochs: 2, writes: 0, faults: 1, rollback: true, poolers: true, latePooler: true},
	{name: "a hook and two instances", instances: 2, epochs: 1, writes: 0, faults: 1, hook: true},
	{name: "finalize against rollback", instances: 2, epochs: 3, writes: 0, faults: 0, rollback: true, finalize: true},
	{name: "a wrong row in the target", instances: 1, epochs: 2, writes: 1, wrong: true},
	{name: "the side entered disappears", instances: 1, epochs: 2, writes: 1, faults: 1, rollback: true, gone: true},
}

func TestNoRowIsLostNoTwoSidesAreOpenAndOneIsInTheEnd(t *testing.T) { hold(t, worlds) }

func hold(t *testing.T, worlds []world) {
	total, ran, all := 0, 0, met{}
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			start := time.Now()
			n, m, err := w.meet()
			if err != nil {
				t.Fatalf("after %d states: %v", n, err)
			}
			t.Logf("%d states in %v", n, time.Since(start).Round(time.Millisecond))
			total += n
			ran++
			all.add(m)
		})
	}
	t.Logf("%d states", total)
	if ran == len(worlds) {
		all.check(t)
	}
}

func (m *met) add(o met) {
	for i := range m.outcomes {
		for j := range m.outcomes[i] {
			m.outcomes[i][j] = m.outcomes[i][j] || o.outcomes[i][j]
		}
	}
	for i := range m.opens {
		for j := range m.opens[i] {
			m.opens[i][j] = m.opens[i][j] || o.opens[i][j]
		}
	}
}

// check: the worlds were wide enough to mean something.
func (m *met) check(t *testing.T) {
	w := world{poolers: true}
	for i, row := range w.compile() {
		if (row.statement || row.next != [3]uint8{} && !row.passes && acts[i] != Ask) && !m.outcomes[i][Done] {
			t.Errorf("%s was never done", acts[i])
		}
		if row.statement && !m.outcomes[i][Refused] {
			t.Errorf("%s was never refused", acts[i])
		}
	}
	if !m.opens[1][1] || !m.opens[0][2] || !m.opens[1][3] {
		t.Errorf("a cutover, its rollback and another cutover were never decided: %v", m.opens)
	}
}
