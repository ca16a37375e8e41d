//go:build model

package protocol

import "testing"

// Worlds that take minutes and gigabytes: `make model`.
var larger = []world{
	{name: "one instance there and back and there", instances: 1, epochs: 3, writes: 2, faults: 1, rollback: true},
	{name: "one instance and three writes", instances: 1, epochs: 2, writes: 3, faults: 1, rollback: true},
	{name: "two instances and two late statements", instances: 2, epochs: 2, writes: 0, faults: 2, rollback: true},
	{name: "two instances there and back and there", instances: 2, epochs: 3, writes: 0, faults: 1, rollback: true},
	{name: "two instances and a write that waits", instances: 2, epochs: 3, writes: 1, faults: 0, rollback: true},
	{name: "two instances and two writes", instances: 2, epochs: 2, writes: 2, faults: 0, rollback: true},
	{name: "zombie appliers and two instances", instances: 2, epochs: 2, writes: 1, faults: 1, rollback: true, zombies: true},
	{name: "zombie appliers and three writes", instances: 1, epochs: 2, writes: 3, faults: 1, rollback: true, zombies: true},
	{name: "what is committed is published later", instances: 1, epochs: 2, writes: 2, faults: 1, rollback: true, lag: true},
	{name: "poolers that pause late and two instances", instances: 2, epochs: 2, writes: 0, faults: 1, rollback: true, poolers: true, latePooler: true},
	{name: "a hook, poolers and two instances", instances: 2, epochs: 2, writes: 0, faults: 1, rollback: true, poolers: true, hook: true},
	{name: "finalize against rollback", instances: 2, epochs: 3, writes: 0, faults: 1, rollback: true, finalize: true},
	{name: "a wrong row in the target", instances: 2, epochs: 2, writes: 1, faults: 1, wrong: true},
	{name: "the side entered disappears", instances: 2, epochs: 2, writes: 0, faults: 1, rollback: true, gone: true},
}

func TestLargerWorldsHold(t *testing.T) {
	for i := range larger {
		larger[i].limit = 60_000_000
	}
	hold(t, larger)
}
