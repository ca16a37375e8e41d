package postgres

import (
	"fmt"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// uniqueWorld is a strict table with a unique index besides its key: rows 1 to 9, b being a to i.
func uniqueWorld(t *testing.T) (*world, *oracle) {
	users := userTable()
	w := newWorld(t, 15, userDDL, apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
	o := newOracle(t, users, true, 1, 100)
	var rows []change.Change
	for id := range int64(9) {
		rows = append(rows, ins(users, item(1+id, 0, string(rune('a'+id)))))
	}
	w.log.add(t, o.do(rows...)...)
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	return w, o
}

func setB(t *change.Table, id int64, b string) change.Change {
	return upd(t, change.Row{change.NewInt(id), {}, change.NewText(b)})
}

func move(t *change.Table, from, to int64) change.Change {
	return rekey(t, key(from), change.Row{change.NewInt(to), {}, {}})
}

// TestUniqueValuesAndKeysThatMoveBetweenRows: values of a unique index and keys go from row to row in one transaction, in chains and in cycles; in
// batches of one transaction and of all of them the rows end as the source has them, and none is refused.
func TestUniqueValuesAndKeysThatMoveBetweenRows(t *testing.T) {
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("together=%v", together), func(t *testing.T) {
			w, o := uniqueWorld(t)
			users := o.table
			if !together {
				w.start()
			}
			for _, tx := range [][]change.Change{
				{setB(users, 1, "-"), upd(users, item(2, 9, "a")), setB(users, 3, "b")}, // whatever is put into one statement, this order is the only one
				{setB(users, 3, "c"), upd(users, item(2, 9, "b")), setB(users, 1, "a")},
				{setB(users, 1, "-"), setB(users, 2, "a"), setB(users, 1, "b")},                                                    // a swap
				{setB(users, 1, "-"), setB(users, 2, "b"), setB(users, 1, "a")},                                                    // and back
				{setB(users, 3, "x"), setB(users, 4, "c"), setB(users, 5, "d"), setB(users, 6, "e")},                               // a chain
				{setB(users, 6, "-"), setB(users, 5, "e"), setB(users, 4, "d"), setB(users, 3, "c"), setB(users, 6, "f")},          // a cycle
				{del(users, key(7)), setB(users, 8, "g"), ins(users, item(7, 7, "h"))},                                             // through a row that goes and comes back
				{move(users, 1, 50), move(users, 2, 1), move(users, 50, 2)},                                                        // two rows swap their keys
				{move(users, 9, 60), move(users, 8, 9), move(users, 7, 8)},                                                         // keys in a chain
				{move(users, 60, 61), setB(users, 61, "z"), move(users, 61, 62)},                                                   // twice the same row, changed in between
				{move(users, 3, 70), ins(users, item(3, 3, "new")), move(users, 4, 71), move(users, 3, 4), move(users, 70, 3)},     // into a key that was left
				{del(users, key(1)), ins(users, item(1, 11, "b")), upd(users, change.Row{change.NewInt(1), change.NewInt(5), {}})}, // deleted, made and changed
			} {
				w.log.add(t, o.do(tx...)...)
				if !together {
					w.applied()
					o.check(w)
				}
			}
			if together {
				w.start()
				w.applied()
				o.check(w)
			}
			if held := w.applier.Stats().Held; len(held) > 0 {
				t.Errorf("held: %+v", held)
			}
			w.expect("SELECT count(*)::text FROM pg_index WHERE indrelid = 'users'::regclass AND indisunique", "2")
			if n := w.net("shop.users"); n != len(o.rows) {
				t.Errorf("the counts say %d rows, there are %d", n, len(o.rows))
			}
		})
	}
}

// TestOlderChangesPassOverANewerChunk: a chunk holds the end of a history that is replayed over it, through states in which two rows have one unique value.
// Nothing is refused or overwritten, since the unique index comes when the table is strict.
func TestOlderChangesPassOverANewerChunk(t *testing.T) {
	users := userTable()
	w := newWorld(t, 15, userDDL, apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
	w.start()
	w.log.chunk(t, users, item(1, 2, "b"), item(2, 1, "a"), item(5, 5, "moved"))
	w.applied()
	w.log.add(t, ins(users, item(1, 1, "a")), ins(users, item(4, 5, "moved"))) // 1 and 2 both have a
	w.applied()
	w.log.add(t, upd(users, item(1, 2, "b")), ins(users, item(2, 1, "a")), rekey(users, key(4), item(5, 5, "moved")), ins(users, item(3, 3, "c"))) // 3 is in no chunk
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.log.add(t, setB(users, 1, "-"), setB(users, 2, "b"), setB(users, 1, "a"))
	w.applied()
	w.expect(`SELECT string_agg(id || ':' || a || ':' || b, ' ' ORDER BY id) FROM users`, "1:2:a 2:1:b 3:3:c 5:5:moved")
	w.expect(`SELECT count(*)::text FROM pg_index WHERE indrelid = 'users'::regclass AND indisunique`, "2")
	if held := w.applier.Stats().Held; len(held) > 0 {
		t.Errorf("held: %+v", held)
	}
}

// TestRowsReadAgainMayBeNewerThanTheirNeighbours: rows of a table with a unique index are read again while a value moves between them: the row that is read
// has what another one has not given up yet. Neither is altered or refused: it is listed to be read once more, and the table ends as the source; also when
// all of it is replayed behind a row that was refused.
func TestRowsReadAgainMayBeNewerThanTheirNeighbours(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprintf("held=%v", held), func(t *testing.T) {
			w, o := uniqueWorld(t)
			users := o.table
			w.start()
			w.applied()
			again := func(ids ...int64) {
				m := change.ControlMessage{Type: change.Recopied, Table: "shop.users"}
				for _, id := range ids {
					m.Keys = append(m.Keys, change.AppendKey(nil, []int{0}, key(id)))
				}
				w.log.control(t, m)
			}
			if held {
				w.db.Exec(t, "ALTER TABLE users ADD CONSTRAINT small CHECK (a < 1000)")
				w.log.add(t, o.do(upd(users, item(9, 5000, "i")))...)
			}
			swap := o.do(setB(users, 1, "-"), setB(users, 2, "a"), setB(users, 1, "b"))
			more := o.do(setB(users, 5, "-"), setB(users, 6, "e"), del(users, key(5)), ins(users, item(5, 5, "f")), rekey(users, key(7), item(70, 7, "g")))
			again(2)
			w.chunkOf(o, 2) // has a, as 1 still has
			w.log.add(t, swap...)
			again(6, 70)
			w.chunkOf(o, 6, 70) // 70 has what 7 still has
			w.log.add(t, more...)
			w.applied()
			if held {
				if lanes, _, _ := w.held("shop.users"); lanes == 0 {
					t.Fatal("the table is not held")
				}
				w.db.Exec(t, "ALTER TABLE users DROP CONSTRAINT small")
				if err := w.applier.Replay(t.Context(), "shop.users"); err != nil {
					t.Fatal(err)
				}
			}
			if h := w.applier.Stats().Held; len(h) > 0 {
				t.Fatalf("held: %+v", h)
			}
			if listed := w.copyAgain(o); listed < 3 {
				t.Errorf("%d rows were read again", listed)
			}
			w.log.add(t, o.do(setB(users, 3, "-"), setB(users, 4, "c"), setB(users, 3, "d"))...)
			w.applied()
			o.check(w)
			if n := w.net("shop.users"); n != len(o.rows) {
				t.Errorf("the counts say %d rows, there are %d", n, len(o.rows))
			}
			w.expect("SELECT state FROM crossfade.tables", "strict")
		})
	}
}
