package verify

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/crossfade-io/crossfade/internal/change"
)

// touched is the set of keys that changed since they were last compared, each with the sequence of its last change.
type touched struct {
	mu     sync.Mutex
	active bool   // before the first full pass nothing needs to be remembered: it compares everything
	seen   uint64 // every change up to this frame is in the set
	now    uint64 // the frame of which changes were observed last: more of it may follow
	saved  uint64 // the checkpoint in the store holds everything up to this sequence
	max    int
	n      int
	tables map[string]*touchedTable // by source name
}

type touchedTable struct {
	keys     map[string]uint64
	overflow bool // keys were let go: only a full pass says anything about this table
	scratch  []byte
}

func newTouched(max int) *touched { return &touched{max: max, tables: map[string]*touchedTable{}} }

// start makes the set remember what is observed from now on. Calling it again changes nothing.
func (t *touched) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.active {
		t.active, t.saved = true, t.seen
	}
}

func (t *touched) isActive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.active
}

func (t *touched) floor() (uint64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saved, t.active
}

func (t *touched) observe(seq uint64, c *change.Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq > t.now { // the frames before it were observed whole
		t.seen, t.now = max(t.seen, t.now), seq
	}
	if !t.active {
		return
	}
	name := c.Table.Source
	switch c.Op {
	case change.Truncate:
		t.letGo(t.of(name))
	case change.Refused: // held: cutover is refused until it is replayed, and the replay is observed
	default:
		tt := t.of(name)
		t.add(tt, seq, c.Table.Key, c.KeyRow())
		if c.KeyChanged() {
			t.add(tt, seq, c.Table.Key, c.After)
		}
	}
}

// cascaded puts a key into the set that no frame names.
func (t *touched) cascaded(name string, seq uint64, key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.active {
		return
	}
	tt := t.of(name)
	if len(key) == 0 {
		t.letGo(tt)
		return
	}
	t.put(tt, seq, key)
}

func (t *touched) passed(seq uint64) {
	t.mu.Lock()
	t.seen = max(t.seen, seq)
	t.mu.Unlock()
}

func (t *touched) of(name string) *touchedTable {
	tt := t.tables[name]
	if tt == nil {
		tt = &touchedTable{keys: map[string]uint64{}}
		t.tables[name] = tt
	}
	return tt
}

func (t *touched) add(tt *touchedTable, seq uint64, key []int, row change.Row) {
	tt.scratch = change.AppendKey(tt.scratch[:0], key, row)
	t.put(tt, seq, tt.scratch)
}

func (t *touched) put(tt *touchedTable, seq uint64, key []byte) {
	if old, ok := tt.keys[string(key)]; ok {
		if seq > old {
			tt.keys[string(key)] = seq
		}
		return
	}
	if tt.overflow {
		return
	}
	if t.n >= t.max {
		t.letGo(tt)
		return
	}
	tt.keys[string(key)] = seq
	t.n++
}

// letGo gives up the keys of a table: it is unverified until its next full pass.
func (t *touched) letGo(tt *touchedTable) {
	t.n -= len(tt.keys)
	clear(tt.keys)
	tt.overflow = true
}

// suspect puts a key into the set although it did not change: a full pass found it unequal.
func (t *touched) suspect(name string, seq uint64, key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tt := t.of(name)
	if _, ok := tt.keys[string(key)]; !ok && !tt.overflow {
		if t.n >= t.max {
			t.letGo(tt)
			return
		}
		tt.keys[string(key)] = seq
		t.n++
	}
}

// last returns the sequence of the key's last change, 0 when it is not in the set.
func (t *touched) last(name string, key []byte) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tt := t.tables[name]; tt != nil {
		return tt.keys[string(key)]
	}
	return 0
}

// settle removes a key that was compared equal, unless it changed above seq. It reports whether the comparison holds.
func (t *touched) settle(name string, seq uint64, key []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	tt := t.tables[name]
	if tt == nil {
		return true
	}
	last, ok := tt.keys[string(key)]
	if ok && last > seq {
		return false
	}
	if ok {
		delete(tt.keys, string(key))
		t.n--
	}
	return true
}

// some returns up to n keys of a table.
func (t *touched) some(name string, n int) [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	tt := t.tables[name]
	if tt == nil {
		return nil
	}
	out := make([][]byte, 0, min(n, len(tt.keys)))
	for k := range tt.keys {
		if len(out) == n {
			break
		}
		out = append(out, []byte(k))
	}
	return out
}

func (t *touched) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

func (t *touched) overflowed(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	tt := t.tables[name]
	return tt != nil && tt.overflow
}

// collect begins to collect the keys of a table that had overflowed; its full pass begins after it.
func (t *touched) collect(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(name).overflow = false
}

// marshal returns the set: it holds every change up to seq, and perhaps some above it. Seq is the end of a frame: a frame of which only a part
// was observed is observed again after a crash.
func (t *touched) marshal() (seq uint64, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b = binary.AppendUvarint(nil, uint64(len(t.tables)))
	for name, tt := range t.tables {
		b = appendString(b, name)
		over := byte(0)
		if tt.overflow {
			over = 1
		}
		b = append(b, over)
		b = binary.AppendUvarint(b, uint64(len(tt.keys)))
		for k, last := range tt.keys {
			b = appendString(b, k)
			b = binary.AppendUvarint(b, last)
		}
	}
	return t.seen, b
}

func (t *touched) markSaved(seq uint64) {
	t.mu.Lock()
	t.saved = max(t.saved, seq)
	t.mu.Unlock()
}

func (t *touched) restore(seq uint64, b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := reader{b: b}
	for range r.uvarint() {
		tt := t.of(r.text())
		tt.overflow = r.byte() == 1
		for range r.uvarint() {
			k := r.text()
			if r.err != nil {
				break
			}
			tt.keys[k] = r.uvarint()
			t.n++
		}
		if r.err != nil {
			break
		}
	}
	if r.err != nil || len(r.b) != 0 {
		return fmt.Errorf("the checkpoint of the touched keys is damaged (%d bytes left): run `crossfade verify` for a full pass", len(r.b))
	}
	t.active, t.seen, t.now, t.saved = true, seq, seq, seq
	return nil
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// reader takes pieces off b; after the first error it gives zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) uvarint() uint64 {
	n, l := binary.Uvarint(r.b)
	if l <= 0 {
		r.err, r.b = fmt.Errorf("cut short"), nil
		return 0
	}
	r.b = r.b[l:]
	return n
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.err = fmt.Errorf("cut short")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) text() string {
	n := r.uvarint()
	if r.err != nil || n > uint64(len(r.b)) {
		r.err, r.b = fmt.Errorf("cut short"), nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// count is the number of touched keys of a table.
func (t *touched) count(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tt := t.tables[name]; tt != nil {
		return len(tt.keys)
	}
	return 0
}
