package apply

import "github.com/crossfade-io/crossfade/internal/change"

// window is the end of what a batch holds of a table that is not folded: changes of different keys, as arrays by kind. Their order among
// each other matters to nothing but the further unique indexes, which refuse an order that they do not allow; then it is done row by row. A second change
// of a key opens the next window, so a key's changes stay in order. What cannot be moved has a window of its own.
type window struct {
	id    int32
	steps []int // in tx.Steps
}

// one appends a row to a step of its table's open window, or opens a new window.
func (b *batch) one(t *Table, shape *change.Table, op StepOp, key, row change.Row, exact bool, tally Tally, count int) {
	named := key
	if named == nil {
		named = row
	}
	movable := t.hashable && op != RekeyRows && !b.tx.Single
	w := b.open[t]
	if w == nil || movable && !b.keys.add(w.id, shape, named) {
		w = &window{id: b.next()}
		b.open[t] = w
		if movable {
			b.keys.add(w.id, shape, named)
		}
	}
	at := w.steps
	if !movable && len(at) > 0 {
		at = at[len(at)-1:]
	}
	for _, n := range at {
		s := &b.tx.Steps[n]
		if s.Ordered == !movable && s.Shape == shape && s.Op == op && s.Exact == exact && s.Tally == tally && (row == nil || samePresence(s.Rows[0], row)) {
			if key != nil {
				s.Keys = append(s.Keys, key)
			}
			if row != nil {
				s.Rows = append(s.Rows, row)
			}
			return
		}
	}
	if len(w.steps) > 0 && (!movable || b.tx.Steps[w.steps[0]].Ordered) { // what cannot be moved begins a window
		w = &window{id: b.next()}
		b.open[t] = w
		if movable {
			b.keys.add(w.id, shape, named)
		}
	}
	s := Step{Shape: shape, Op: op, Exact: exact, Ordered: !movable, Tally: tally, Count: count, window: w.id}
	if key != nil {
		s.Keys = append(make([]change.Row, 0, 4), key)
	}
	if row != nil {
		s.Rows = append(make([]change.Row, 0, 4), row)
	}
	w.steps = append(w.steps, len(b.tx.Steps))
	b.tx.Steps = append(b.tx.Steps, s)
}

// keySet remembers which keys the windows of one batch name. It is emptied by counting up, not by clearing.
type keySet struct {
	slots   []keySlot
	used    int
	batch   uint32
	scratch []byte
}

type keySlot struct {
	hash   uint64
	batch  uint32
	window int32
}

func (k *keySet) reset() {
	k.batch++
	k.used = 0
	if k.batch == 0 { // went round
		clear(k.slots)
		k.batch = 1
	}
}

// add reports false when the window has the key already, or another of the same hash.
func (k *keySet) add(window int32, shape *change.Table, key change.Row) bool {
	if 2*(k.used+1) > len(k.slots) {
		old := k.slots
		k.slots = make([]keySlot, max(1024, 2*len(old)))
		for _, o := range old {
			if o.batch == k.batch {
				k.slots[k.free(o.hash)] = o
			}
		}
	}
	k.scratch = change.AppendKey(k.scratch[:0], shape.Key, key)
	hash := hashBytes(k.scratch)
	mask := len(k.slots) - 1
	for at := int(hash) & mask; ; at = (at + 1) & mask {
		slot := &k.slots[at]
		if slot.batch != k.batch {
			*slot = keySlot{hash, k.batch, window}
			k.used++
			return true
		}
		if slot.hash == hash && slot.window == window {
			return false
		}
	}
}

func (k *keySet) free(hash uint64) int {
	mask := len(k.slots) - 1
	at := int(hash) & mask
	for k.slots[at].batch == k.batch {
		at = (at + 1) & mask
	}
	return at
}
