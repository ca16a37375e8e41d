package protocol

import (
	"testing"
	"time"
)

// Every world varies some of what can happen: all of it at once would be too much to explore.
var worlds = []world{
	{name: "one instance there and back and there", instances: 1, epochs: 3, writes: 2, faults: 0, rollback: true},
	{name: "one instance there and back", instances: 1, epochs: 2, writes: 2, faults: 1, rollback: true},
	{name: "two instances", instances: 2, epochs: 2, writes: 1, faults: 1},
	{name: "two instances and a rollback", instances: 2, epochs: 2, writes: 1, faults: 1, rollback: true},
	{name: "two late statements", instances: 1, epochs: 3, writes: 0, faults: 2, rollback: true},
	{name: "zombie appliers", instances: 1, epochs: 2, writes: 2, faults: 1, rollback: true, zombies: true},
	{name: "what is committed is published later", instances: 1, epochs: 2, writes: 2, rollback: true, lag: true},
	{name: "poolers", instances: 1, epochs: 2, writes: 0, faults: 0, rollback: true, poolers: true},
	{name: "poolers that pause late", instances: 1, epochs: 2, writes: 0, faults: 1, rollback: true, poolers: true, latePooler: true},
	{name: "a hook and two instances", instances: 2, epochs: 1, writes: 0, faults: 1, hook: true},
	{name: "finalize against rollback", instances: 2, epochs: 3, writes: 0, faults: 0, rollback: true, finalize: true},
	{name: "a wrong row in the target", instances: 1, epochs: 2, writes: 1, wrong: true},
	{name: "the target disappears", instances: 1, epochs: 2, writes: 1, faults: 1, gone: true},
}

func TestNoRowIsLostNoTwoSidesAreOpenAndOneIsInTheEnd(t *testing.T) { hold(t, worlds) }

func hold(t *testing.T, worlds []world) {
	total := 0
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			start := time.Now()
			n, err := w.explore()
			if err != nil {
				t.Fatalf("after %d states: %v", n, err)
			}
			t.Logf("%d states in %v", n, time.Since(start).Round(time.Millisecond))
			total += n
		})
	}
	t.Logf("%d states", total)
}
