package apply

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

// order is what the steps of a batch do to which keys, in order.
func order(steps []Step) string {
	var out []string
	for i := range steps {
		keys := ""
		for n := range steps[i].Len() {
			keys += steps[i].KeyString(n)
		}
		out = append(out, steps[i].Op.String()+keys)
	}
	return strings.Join(out, ", ")
}

// batchOf is a batch of one unit, with a part for each change.
func batchOf(t *testing.T, table *Table, parts []part, changes ...change.Change) *batch {
	t.Helper()
	u := unit{frame: &frame{changes: changes}, seq: 1}
	var scratch []byte
	for i := range changes {
		u.frame.shapes = append(u.frame.shapes, &shape{Table: changes[i].Table, table: table})
		it := item{index: int32(i), part: parts[i]}
		if row := changes[i].KeyRow(); row != nil {
			scratch = change.AppendKey(scratch[:0], changes[i].Table.Key, row)
			it.hash = hashBytes(scratch)
		}
		u.items = append(u.items, it)
	}
	b := new(batch)
	b.reset(0)
	if err := b.unit(&u, false, nil); err != nil {
		t.Fatal(err)
	}
	b.finish()
	return b
}

// TestWhatCannotBeFoldedKeepsItsPlace: a key change as one statement and a truncate stay behind all that came before them and before all that comes later,
// rows of an older shape of the table included.
func TestWhatCannotBeFoldedKeepsItsPlace(t *testing.T) {
	shape := testShape()
	older := *shape
	table := &Table{Setup: TableSetup{Source: "shop.t", Target: shape}, Strict: true, WasStrict: true, hashable: true}
	move := func(from, to int64) change.Change {
		return change.Change{Table: shape, Op: change.Update, Before: intRow(from, unset, unset), After: intRow(to, unset, unset)}
	}
	update := func(s *change.Table, id int64) change.Change {
		return change.Change{Table: s, Op: change.Update, After: intRow(id, 1, unset)}
	}
	b := batchOf(t, table, []part{rekey, wholeChange, rekey, wholeChange}, move(1, 2), update(shape, 2), move(2, 3), update(shape, 3))
	if got, want := order(b.tx.Steps), "change of key(id=1), update(id=2), change of key(id=2), update(id=3)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b = batchOf(t, table, []part{wholeChange, rekey, wholeChange}, update(&older, 1), change.Change{Table: shape, Op: change.Truncate}, change.Change{Table: shape, Op: change.Insert, After: intRow(1, 1, 1)})
	if got, want := order(b.tx.Steps), "update(id=1), truncate, insert(id=1)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestChangesOfOneKeyKeepTheirOrder: rows of a table that is not folded go together where their keys allow it, deletes first; the second change of a key
// comes behind the first.
func TestChangesOfOneKeyKeepTheirOrder(t *testing.T) {
	shape := testShape()
	table := &Table{Setup: TableSetup{Source: "shop.t", Target: shape}, Strict: true, WasStrict: true, hashable: true, OneLane: true}
	insert := func(id int64) change.Change {
		return change.Change{Table: shape, Op: change.Insert, After: intRow(id, id, id)}
	}
	remove := func(id int64) change.Change {
		return change.Change{Table: shape, Op: change.Delete, Before: intRow(id, unset, unset)}
	}
	whole := make([]part, 6)
	b := batchOf(t, table, whole, insert(1), remove(2), insert(3), remove(1), insert(2), insert(1))
	if got, want := order(b.tx.Steps), "delete(id=2), insert(id=1)(id=3), delete(id=1), insert(id=2), insert(id=1)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	table.hashable = false // 1 and 2 may be one key
	b = batchOf(t, table, whole, insert(1), remove(2), insert(3), remove(1), insert(2), insert(1))
	if got, want := order(b.tx.Steps), "insert(id=1), delete(id=2), insert(id=3), delete(id=1), insert(id=2)(id=1)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestTheKeysOfABatchAreTold: the set of keys in a window grows, is emptied, and tells windows and keys apart.
func TestTheKeysOfABatchAreTold(t *testing.T) {
	shape := testShape()
	var k keySet
	for range 3 {
		k.reset()
		for id := range int64(5000) {
			for window := range int32(2) {
				if !k.add(window, shape, intRow(id, 1, 1)) {
					t.Fatalf("key %d is in window %d before it was added", id, window)
				}
			}
		}
		for id := range int64(5000) {
			if k.add(1, shape, intRow(id, 2, 2)) {
				t.Fatalf("key %d is not in its window", id)
			}
		}
	}
}

// TestOnlyAdmittedFramesCountAgainstTheMemory: frames that are skipped, because the ledgers are past them, make no room for others.
func TestOnlyAdmittedFramesCountAgainstTheMemory(t *testing.T) {
	p := newPool(1000)
	frameOf := func(size int64) *frame {
		f := p.get()
		f.size += size
		f.refs.Store(1)
		return f
	}
	for range 100 {
		frameOf(900).release() // never admitted
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := frameOf(900)
	if err := p.admit(ctx, first); err != nil {
		t.Fatal(err)
	}
	short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	second := frameOf(900)
	if err := p.admit(short, second); err == nil {
		t.Fatal("1800 bytes fit into 1000")
	}
	first.release()
	if err := p.admit(ctx, second); err != nil {
		t.Fatal(err)
	}
	second.release()
	if p.used != 0 {
		t.Errorf("%d bytes are in use by nobody", p.used)
	}
	if p.kept > p.limit/4 {
		t.Errorf("%d bytes are kept for later, of %d", p.kept, p.limit)
	}
}

// TestAFrameLargerThanTheMemoryPassesAlone: one frame always fits.
func TestAFrameLargerThanTheMemoryPassesAlone(t *testing.T) {
	p := newPool(1000)
	f := p.get()
	f.size = 5000
	f.refs.Store(1)
	if err := p.admit(t.Context(), f); err != nil {
		t.Fatal(fmt.Errorf("it waits for room that never comes: %w", err))
	}
	f.release()
	if p.kept != 0 {
		t.Errorf("%d bytes are kept", p.kept)
	}
}
