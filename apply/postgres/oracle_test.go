package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
)

// oracle is a table of three columns (id, a, b) on the source: it takes changes one by one, and refuses what the source would have refused.
type oracle struct {
	t      testing.TB
	table  *change.Table
	unique bool // b is
	rows   map[int64]change.Row
	random *rand.Rand
	keys   int64
	serial int64
}

func newOracle(t testing.TB, table *change.Table, unique bool, seed uint64, keys int64) *oracle {
	return &oracle{t: t, table: table, unique: unique, rows: map[int64]change.Row{}, random: rand.New(rand.NewPCG(seed, 4)), keys: keys}
}

// do takes changes and returns them.
func (o *oracle) do(changes ...change.Change) []change.Change {
	o.t.Helper()
	for i := range changes {
		o.one(&changes[i])
	}
	return changes
}

func (o *oracle) one(c *change.Change) {
	o.t.Helper()
	id := c.KeyRow()[0].Int()
	old, exists := o.rows[id]
	if exists == (c.Op == change.Insert) {
		o.t.Fatalf("the history is wrong: %s of %d", c.Op, id)
	}
	if c.Op != change.Insert {
		delete(o.rows, id)
	}
	if c.Op == change.Delete {
		return
	}
	row := c.After.Clone()
	for i := range row {
		if row[i].Kind == change.Absent {
			row[i] = old[i]
		}
	}
	if _, taken := o.rows[row[0].Int()]; taken {
		o.t.Fatalf("the history is wrong: key %d is taken", row[0].Int())
	}
	if o.unique && o.taken(row[2].String()) {
		o.t.Fatalf("the history is wrong: %s is taken", row[2])
	}
	o.rows[row[0].Int()] = row
}

func (o *oracle) taken(b string) bool {
	for _, r := range o.rows {
		if r[2].String() == b {
			return true
		}
	}
	return false
}

func (o *oracle) ids() []int64 {
	var ids []int64
	for id := range o.rows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (o *oracle) String() string {
	var b strings.Builder
	for _, id := range o.ids() {
		fmt.Fprintf(&b, "%d:%s:%s ", id, o.rows[id][1], o.rows[id][2])
	}
	return b.String()
}

// check compares the target's table.
func (o *oracle) check(w *world) {
	o.t.Helper()
	w.expect(`SELECT coalesce(string_agg(id || ':' || a || ':' || b, ' ' ORDER BY id) || ' ', '') FROM `+o.table.Name, o.String())
}

// fresh is a value that no row has.
func (o *oracle) fresh() change.Value {
	o.serial++
	return change.NewText(fmt.Sprintf("b%d", o.serial))
}

func (o *oracle) pick() (int64, bool) {
	ids := o.ids()
	if len(ids) == 0 {
		return 0, false
	}
	return ids[o.random.IntN(len(ids))], true
}

func (o *oracle) free() (int64, bool) {
	id := o.random.Int64N(o.keys)
	_, taken := o.rows[id]
	return id, !taken
}

// transaction makes the changes of a random source transaction, with columns left out where a log may leave them out.
func (o *oracle) transaction() []change.Change {
	var out []change.Change
	add := func(c change.Change) { out = append(out, o.do(c)...) }
	o.serial++
	a := change.NewInt(o.serial)
	id, some := o.pick()
	switch n := o.random.IntN(11); {
	case !some || n < 2:
		if to, ok := o.free(); ok {
			add(ins(o.table, change.Row{change.NewInt(to), a, o.fresh()}))
		}
	case n == 2:
		add(del(o.table, key(id)))
	case n == 3: // gone and back
		add(del(o.table, key(id)))
		add(ins(o.table, change.Row{change.NewInt(id), a, o.fresh()}))
	case n == 4: // two updates, each of another column
		add(upd(o.table, change.Row{change.NewInt(id), a, {}}))
		add(upd(o.table, change.Row{change.NewInt(id), {}, o.fresh()}))
	case n == 5:
		add(upd(o.table, change.Row{change.NewInt(id), a, o.fresh()}))
	case n == 6: // b swapped with another row, as a source without deferred constraints can: through a third value
		if other, _ := o.pick(); other != id {
			mine, its := o.rows[id][2], o.rows[other][2]
			add(upd(o.table, change.Row{change.NewInt(id), {}, o.fresh()}))
			add(upd(o.table, change.Row{change.NewInt(other), {}, mine}))
			add(upd(o.table, change.Row{change.NewInt(id), a, its}))
		}
	case n == 7: // a key that changes, perhaps without the rest of the row
		if to, ok := o.free(); ok {
			row := change.Row{change.NewInt(to), a, o.rows[id][2]}
			if o.random.IntN(2) == 0 {
				row[2] = change.Value{}
			}
			add(rekey(o.table, key(id), row))
		}
	case n == 8: // a chain: one row takes the key that another has just left
		if to, ok := o.free(); ok {
			add(rekey(o.table, key(id), change.Row{change.NewInt(to), {}, {}}))
			if other, ok := o.pick(); ok && other != to {
				add(rekey(o.table, key(other), change.Row{change.NewInt(id), a, o.rows[other][2]}))
			}
		}
	case n == 9: // come and gone
		if to, ok := o.free(); ok {
			add(ins(o.table, change.Row{change.NewInt(to), a, o.fresh()}))
			add(del(o.table, key(to)))
		}
	default: // a statement over several rows, each taking the value of the one before
		ids := o.ids()
		ids = ids[:min(len(ids), 5)]
		last := o.fresh()
		for _, id := range ids {
			b := o.rows[id][2]
			add(upd(o.table, change.Row{change.NewInt(id), {}, last}))
			last = b
		}
	}
	return out
}
