package postgres

import (
	"slices"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// TestCopyAndChangesEndAsTheSource: chunks and changes in the order of the stream give the rows of the source, on the oldest and newest server here.
func TestCopyAndChangesEndAsTheSource(t *testing.T) {
	for _, major := range []int{15, 18} {
		items := itemTable()
		w := newWorld(t, major, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
		w.start()
		var rows []change.Row
		for id := range int64(500) {
			rows = append(rows, item(id, id, "copied"))
		}
		w.log.add(t, upd(items, item(3, 33, "early")), del(items, key(4)), ins(items, item(1000, 1, "new")))
		w.log.chunk(t, items, rows...)
		w.log.add(t, upd(items, item(5, 55, "later")), rekey(items, key(6), item(2000, 6, "moved")), del(items, key(7)), ins(items, item(1001, 1, "new")), del(items, key(1001)))
		w.log.control(t, change.ControlMessage{Type: change.Progress, Table: "shop.items", Rows: 500, Done: true})
		w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
		w.log.add(t, upd(items, change.Row{change.NewInt(8), {}, change.NewText("only b")}), ins(items, item(7, 7, "again")), del(items, key(9)), ins(items, item(9, 99, "reborn")))
		w.applied()
		w.expect("SELECT count(*)::text FROM items", "501")
		w.expect("SELECT string_agg(id || ':' || a || ':' || b, ' ' ORDER BY id) FROM items WHERE id IN (3, 4, 5, 6, 7, 8, 9, 1000, 1001, 2000)",
			"3:3:copied 4:4:copied 5:55:later 7:7:again 8:8:only b 9:99:reborn 1000:1:new 2000:6:moved")
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		tables, err := w.target.Tables(t.Context())
		if err != nil || len(tables) != 1 || !tables[0].Strict || !tables[0].Copied || tables[0].RowsCopied != 500 {
			t.Fatalf("%+v, %v", tables, err)
		}
	}
}

// TestTheStatisticsSayOfTheCopyWhatTheLedgerHolds: a table counts as copied and as strict once the target says so, not when that stands in the stream;
// also what an earlier start has written.
func TestTheStatisticsSayOfTheCopyWhatTheLedgerHolds(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	want := func(want apply.Copy) {
		t.Helper()
		if got := w.applier.Stats().Copies["shop.items"]; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	w.start()
	w.log.chunk(t, items, item(1, 1, "one"))
	w.log.control(t, change.ControlMessage{Type: change.Progress, Table: "shop.items", Rows: 1})
	w.applied()
	want(apply.Copy{Rows: 1})
	other := w.db.Connect(t)
	if _, err := other.Exec(t.Context(), "BEGIN; LOCK TABLE crossfade.ledger"); err != nil {
		t.Fatal(err)
	}
	w.log.control(t, change.ControlMessage{Type: change.Progress, Table: "shop.items", Rows: 1, Done: true})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	a := w.applier
	eventually(t, "the applier stands before the lock", func() bool {
		return slices.ContainsFunc(a.Stats().Lanes, func(l apply.LaneStats) bool { return l.Error != "" })
	})
	want(apply.Copy{Rows: 1})
	if _, err := other.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	w.applied()
	want(apply.Copy{Rows: 1, Done: true, Strict: true})
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.start()
	a = w.applier
	eventually(t, "it runs", func() bool { return a.Stats().Running })
	want(apply.Copy{Rows: 1, Done: true, Strict: true})
	w.log.chunk(t, items, item(1, 1, "one")) // read again
	w.applied()
	want(apply.Copy{Rows: 1, Done: true})
}
