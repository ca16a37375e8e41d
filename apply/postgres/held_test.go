package postgres

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

const strictItemDDL = `CREATE TABLE items (id bigint PRIMARY KEY, a integer NOT NULL CHECK (a >= 0), b character varying(20))`

// heldWorld is two strict tables: items has constraints that the source has not, users is the one that goes on.
func heldWorld(t *testing.T, extra string) *world {
	users := userTable()
	w := newWorld(t, 15, strictItemDDL+";"+userDDL+extra, apply.TableSetup{Source: "shop.items", Target: itemTable()}, apply.TableSetup{Source: "shop.users", Target: users})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	return w
}

func (w *world) held(source string) (lanes int, from uint64, held apply.Held) {
	for _, h := range w.applier.Stats().Held {
		if h.Source == source {
			if lanes == 0 || h.From < from {
				from, held = h.From, h
			}
			lanes++
		}
	}
	return lanes, from, held
}

// TestARefusedRowHoldsItsTable: a row that the target does not take holds its table, named by key, reason and remedy, over a restart. Other tables go on,
// markers pass, and the frames stay. When the target takes the row a replay brings the table to where the source is.
func TestARefusedRowHoldsItsTable(t *testing.T) {
	long := "this text is longer than twenty characters"
	for _, c := range []struct {
		name, reason, mend string
		row                change.Row
		want               string
	}{
		{"too long", "longer than 20", "ALTER TABLE items ALTER b TYPE text", item(2, 2, long), "2:" + long},
		{"check", "items_a_check", "ALTER TABLE items DROP CONSTRAINT items_a_check", item(2, -5, "x"), "-5:x"},
		{"not null", "null value in column", "ALTER TABLE items ALTER a DROP NOT NULL", change.Row{change.NewInt(2), {Kind: change.Null}, change.NewText("x")}, "null:x"},
		{"too large", "2147483647", "ALTER TABLE items ALTER a TYPE bigint", item(2, 1<<40, "x"), "1099511627776:x"},
		{"nul", "0x00", "", item(2, 2, "a\x00b"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			items, users := itemTable(), userTable()
			w := heldWorld(t, "")
			w.start()
			w.log.add(t, ins(items, item(1, 1, "one")), ins(items, item(2, 1, "two")), ins(items, item(3, 1, "three")))
			bad := w.log.add(t, upd(items, item(1, 2, "two")), upd(items, c.row), ins(users, item(1, 1, "u")))
			w.log.add(t, upd(items, item(3, 2, "x")), del(items, key(1)), ins(users, item(2, 2, "v")))
			w.log.control(t, change.ControlMessage{Type: change.Marker, Epoch: 7})
			w.log.add(t, ins(items, item(4, 4, "four")), upd(users, item(2, 3, "w")))
			for range 2 {
				w.applied()
				_, from, h := w.held("shop.items")
				if from != bad || h.Key != "(id=2)" || !strings.Contains(h.Reason, c.reason) || !strings.Contains(h.Remedy, "crossfade resume --table shop.items") {
					t.Fatalf("held from frame %d: %+v", from, h)
				}
				if floor := w.applier.Floor(); floor != bad-1 {
					t.Errorf("frames up to %d may be purged, the table is held from %d", floor, bad)
				}
				w.expect(`SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM users`, "1:1 2:3")
				w.expect(`SELECT a || ':' || b FROM items WHERE id = 2`, "1:two")
				markers, err := w.target.Markers(t.Context())
				if err != nil || len(markers) != 3 || markers[0] != 7 || markers[1] != 7 || markers[2] != 7 {
					t.Errorf("markers %v, %v", markers, err)
				}
				var still *apply.StillHeld
				if err := w.applier.Replay(t.Context(), "shop.items"); !errors.As(err, &still) || still.Key != "(id=2)" {
					t.Fatalf("replayed without a change of the target: %v", err)
				}
				if err := w.stop(); err != nil {
					t.Fatal(err)
				}
				w.start()
			}
			w.applied()
			if c.mend == "" {
				return // no column of the target can take it
			}
			w.db.Exec(t, c.mend)
			if err := w.applier.Replay(t.Context(), "shop.items"); err != nil {
				t.Fatal(err)
			}
			w.log.add(t, upd(items, item(3, 5, "on")))
			w.applied()
			w.expect(`SELECT string_agg(id || ':' || coalesce(a::text, 'null') || ':' || b, ' ' ORDER BY id) FROM items`, "2:"+c.want+" 3:5:on 4:4:four")
			if n := w.net("shop.items"); n != 3 {
				t.Errorf("the counts say %d rows", n)
			}
			if s := w.applier.Stats(); len(s.Held) > 0 || s.Floor != uint64(len(w.log.frames)) {
				t.Errorf("held %+v, floor %d", s.Held, s.Floor)
			}
			if err := w.applier.Replay(t.Context(), "shop.items"); !errors.Is(err, apply.ErrNotHeld) {
				t.Errorf("replayed again: %v", err)
			}
		})
	}
}

// TestAReplayGoesOnWhereItWasKilled: the applier dies in the middle of a replay. The table is held from there on, and the next replay applies each change
// once, beside another table that is held too and stays so.
func TestAReplayGoesOnWhereItWasKilled(t *testing.T) {
	items, users := itemTable(), userTable()
	w := heldWorld(t, ";"+auditDDL+";"+audited("items")+"; ALTER TABLE users ADD CHECK (a < 1000)")
	w.log.add(t, ins(items, item(900, -1, "refused")), ins(users, item(1, 1, "u")))
	w.log.add(t, ins(users, item(2, 5000, "refused")))
	h := newHistory(items, 21, 300)
	for range 100 {
		var frame []change.Change
		for range 500 {
			frame = append(frame, h.next())
		}
		w.log.add(t, frame...)
	}
	w.log.add(t, upd(users, item(1, 2, "u")))
	w.start()
	w.applied()
	lanes, first, _ := w.held("shop.items")
	_, floor, _ := w.held("shop.users")
	if lanes == 0 || floor != 4 || first != 3 {
		t.Fatalf("held: %+v", w.applier.Stats().Held)
	}
	w.log.add(t, del(items, key(900)))
	w.applied()
	w.db.Exec(t, "ALTER TABLE items DROP CONSTRAINT items_a_check")
	var transactions atomic.Int64
	w.trips = &trips{pick: func(tx *apply.Tx) bool {
		return tx.Lane == apply.AllLanes && len(tx.Steps) > 0 && transactions.Add(1) == 2
	}}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.applied()
	if err := w.applier.Replay(t.Context(), "shop.items"); !errors.Is(err, errTrip) {
		t.Fatalf("the replay was not killed: %v", err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.trips = nil
	w.start()
	w.applied()
	if _, from, _ := w.held("shop.items"); from <= first+1 || from >= uint64(len(w.log.frames)) {
		t.Errorf("held from frame %d after half a replay", from)
	}
	if err := w.applier.Replay(t.Context(), "shop.items"); err != nil {
		t.Fatal(err)
	}
	if got := w.applier.Floor(); got != floor-1 {
		t.Errorf("floor %d, the other table is held from %d", got, floor)
	}
	h.check(w, "items")
	w.onceInOrder()
	w.db.Exec(t, "ALTER TABLE users DROP CONSTRAINT users_a_check")
	if err := w.applier.Replay(t.Context(), "shop.users"); err != nil {
		t.Fatal(err)
	}
	w.expect(`SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM users`, "1:2 2:5000")
	if s := w.applier.Stats(); len(s.Held) > 0 || s.Floor != uint64(len(w.log.frames)) {
		t.Errorf("held %+v, floor %d", s.Held, s.Floor)
	}
}

// TestWhatHappensToAHeldTableIsReplayedInOrder: a held table is truncated, read again, made strict and moved about. All of it waits, and the replay does
// it in order: the unique index is built where the table becomes strict.
func TestWhatHappensToAHeldTableIsReplayedInOrder(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, strictItemDDL, apply.TableSetup{Source: "shop.items", Target: items, Unique: true, UniqueSQL: []string{"CREATE UNIQUE INDEX IF NOT EXISTS items_b ON items (b)"}})
	w.start()
	w.log.chunk(t, items, item(1, 1, "a"), item(2, 2, "b"), item(3, 3, "c"))
	w.log.add(t, ins(items, item(4, -1, "refused")), ins(items, item(5, 5, "e")))
	w.log.add(t, change.Change{Table: items, Op: change.Truncate})
	w.log.add(t, ins(items, item(6, 6, "f")), ins(items, item(7, 7, "f")))
	w.log.add(t, rekey(items, key(6), change.Row{change.NewInt(8), {}, {}}), upd(items, change.Row{change.NewInt(7), {}, change.NewText("g")}))
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.items", Keys: [][]byte{change.AppendKey(nil, []int{0}, key(8))}})
	w.log.chunk(t, items, item(8, 6, "f"))
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.add(t, upd(items, item(8, 8, "-")), upd(items, item(7, 7, "f")), upd(items, item(8, 8, "g")))
	w.applied()
	if lanes, from, _ := w.held("shop.items"); lanes != 3 || from != 2 {
		t.Fatalf("held: %+v", w.applier.Stats().Held)
	}
	w.expect("SELECT count(*)::text FROM items WHERE id > 5", "0")
	w.expect("SELECT count(*)::text FROM items WHERE id < 4", "3")
	w.expect("SELECT count(*)::text FROM pg_class WHERE relname = 'items_b'", "0")
	w.db.Exec(t, "ALTER TABLE items DROP CONSTRAINT items_a_check")
	if err := w.applier.Replay(t.Context(), "shop.items"); err != nil {
		t.Fatal(err)
	}
	w.expect(`SELECT string_agg(id || ':' || a || ':' || b, ' ' ORDER BY id) FROM items`, "7:7:f 8:8:g")
	w.expect("SELECT count(*)::text FROM pg_class WHERE relname = 'items_b'", "1")
	w.expect("SELECT count(*)::text FROM crossfade.recopy", "0")
	w.log.add(t, upd(items, item(7, 8, "h")))
	w.applied()
	w.expect("SELECT b FROM items WHERE id = 7", "h")
}

// TestARowThatCannotBeMappedHoldsItsTable: the stream brings a row as the source has it, with the reason why it has no target row. Its table is held in
// all lanes, since nobody knows whose the row is; with a mended mapping the replay maps it again.
func TestARowThatCannotBeMappedHoldsItsTable(t *testing.T) {
	items := itemTable()
	raw := &change.Table{Schema: "shop", Name: "items", Key: []int{0}, Columns: []change.Column{{Name: "id", Type: "bigint", Kind: change.Int}, {Name: "when", Type: "text", Kind: change.Text}}}
	w := heldWorld(t, "")
	w.start()
	w.log.add(t, ins(items, item(1, 1, "one")))
	bad := w.log.add(t, change.Change{Table: raw, Op: change.Refused, After: change.Row{change.NewInt(2), change.NewText("0000-00-00")}, Err: "column b: a zero date"})
	w.log.add(t, upd(items, item(1, 2, "two")), ins(userTable(), item(1, 1, "u")))
	w.applied()
	lanes, from, h := w.held("shop.items")
	if lanes != 3 || from != bad || h.Key != "(id=2)" || !strings.Contains(h.Reason, "a zero date") {
		t.Fatalf("held in %d lanes from %d: %+v", lanes, from, h)
	}
	w.expect("SELECT a::text FROM items WHERE id = 1", "1")
	w.expect("SELECT count(*)::text FROM users", "1")
	var still *apply.StillHeld
	if err := w.applier.Replay(t.Context(), "shop.items"); !errors.As(err, &still) || still.Key != "(id=2)" {
		t.Fatalf("replayed: %v", err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.opts.Remap = func(c *change.Change) ([]change.Change, error) {
		return []change.Change{ins(items, item(c.After[0].Int(), 0, "mapped"))}, nil
	}
	w.start()
	w.applied()
	if err := w.applier.Replay(t.Context(), "shop.items"); err != nil {
		t.Fatal(err)
	}
	w.expect(`SELECT string_agg(id || ':' || a || ':' || b, ' ' ORDER BY id) FROM items`, "1:2:two 2:0:mapped")
}
