package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// chunkOf publishes the rows of the source, and before them those that were not read for good: nothing here is.
func (w *world) chunkOf(o *oracle, ids ...int64) {
	w.t.Helper()
	var rows []change.Row
	for _, id := range ids {
		if row, ok := o.rows[id]; ok {
			rows = append(rows, row)
		}
	}
	if len(rows) > 0 {
		w.log.chunk(w.t, o.table, rows...)
	}
}

// copyAgain reads again what the target has listed, until nothing is, and makes the table strict, as capture does.
func (w *world) copyAgain(o *oracle) (listed int) {
	w.t.Helper()
	for {
		w.applied()
		list, err := w.target.Recopy(w.t.Context(), o.table.Source)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(list) == 0 {
			w.log.control(w.t, change.ControlMessage{Type: change.Strict, Table: o.table.Source})
			return listed
		}
		m := change.ControlMessage{Type: change.Recopied, Table: o.table.Source}
		var ids []int64
		for _, k := range list {
			row, err := change.ReadKey(k.Key, 1)
			if err != nil {
				w.t.Fatal(err)
			}
			m.Keys, ids = append(m.Keys, k.Key), append(ids, row[0].Int())
		}
		listed += len(list)
		w.log.control(w.t, m)
		w.chunkOf(o, ids...)
	}
}

// repair reads rows of a strict table again, while the source goes on, until it is strict again.
func (w *world) repair(o *oracle, transaction func() []change.Change) {
	w.t.Helper()
	m := change.ControlMessage{Type: change.Recopied, Table: o.table.Source}
	var ids []int64
	for range 8 {
		if id, ok := o.pick(); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
			m.Keys = append(m.Keys, change.AppendKey(nil, o.table.Key, key(id)))
		}
	}
	w.log.control(w.t, m)
	var later []change.Change
	for range 15 {
		later = append(later, transaction()...)
	}
	w.chunkOf(o, ids...)
	w.log.add(w.t, later...)
	w.copyAgain(o)
	w.applied()
}

func (w *world) net(source string) int {
	w.t.Helper()
	var n int
	w.db.Get(w.t, `SELECT coalesce(sum(inserted) - sum(deleted), 0)::integer FROM crossfade.counts WHERE source_table = '`+source+`'`, &n)
	return n
}

// TestARandomHistoryEndsAsTheSource: a random history of transactions with partial rows, swapped unique values and moving keys ends as the same changes
// do one by one: while rows are copied in chunks that see later changes than those before them, and strict, with unique indexes. What the counts say of
// the number of rows from strict on is right.
func TestARandomHistoryEndsAsTheSource(t *testing.T) {
	for seed, major := range map[uint64]int{1: 15, 2: 18} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			items, users := itemTable(), userTable()
			w := newWorld(t, major, itemDDL+";"+userDDL, apply.TableSetup{Source: "shop.items", Target: items},
				apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
			w.opts.Lanes = 2
			random := rand.New(rand.NewPCG(seed, 8))
			oracles := []*oracle{newOracle(t, items, false, seed, 120), newOracle(t, users, true, seed+10, 60)}
			transaction := func() []change.Change { return oracles[random.IntN(2)].transaction() }
			publish := func(n int) (out []change.Change) {
				for range n {
					out = append(out, transaction()...)
					if len(out) > 0 && random.IntN(4) == 0 {
						w.log.add(t, out...)
						out = nil
					}
				}
				return out
			}
			if rest := publish(300); len(rest) > 0 {
				w.log.add(t, rest...)
			}
			w.start()
			for _, o := range oracles { // copied in pieces; each sees more than what was published before it
				for from := int64(0); from < o.keys; from += 20 {
					var later []change.Change
					for range 15 {
						later = append(later, transaction()...)
					}
					var ids []int64
					for id := from; id < from+20; id++ {
						ids = append(ids, id)
					}
					w.chunkOf(o, ids...)
					w.log.add(t, later...)
				}
			}
			listed := 0
			for _, o := range oracles {
				listed += w.copyAgain(o)
			}
			if listed == 0 {
				t.Error("no key was read again: the history is too tame")
			}
			w.applied()
			var before [2]int
			for i, o := range oracles {
				o.check(w)
				before[i] = w.net(o.table.Source) - len(o.rows)
			}
			for range 8 { // batches of all sizes, from one frame to all of them
				if rest := publish(random.IntN(400)); len(rest) > 0 {
					w.log.add(t, rest...)
				}
				if random.IntN(2) == 0 {
					w.repair(oracles[random.IntN(2)], transaction)
				} else if err := w.stop(); err != nil {
					t.Fatal(err)
				} else {
					w.log.add(t, slices.Concat(oracles[0].transaction(), oracles[1].transaction(), oracles[0].do(ins(items, change.Row{change.NewInt(9000 + oracles[0].serial), change.NewInt(1), change.NewText("x")})))...)
					w.start()
				}
			}
			w.applied()
			for i, o := range oracles {
				o.check(w)
				if now := w.net(o.table.Source) - len(o.rows); now != before[i] {
					t.Errorf("%s: the counts are off by %d rows since it is strict", o.table.Source, now-before[i])
				}
			}
			if held := w.applier.Stats().Held; len(held) > 0 {
				t.Errorf("held: %+v", held)
			}
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
