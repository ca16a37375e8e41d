package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// TestAZombieChangesNothing: an applier that was held up while another one took over commits nothing any more, standing on the very frame that the ledger
// stands on, and ends because it was revoked; also when the new one has made other lanes.
func TestAZombieChangesNothing(t *testing.T) {
	for _, lanes := range []int{3, 1} {
		t.Run(fmt.Sprintf("then %d lanes", lanes), func(t *testing.T) {
			items := itemTable()
			w := newWorld(t, 15, itemDDL+";"+auditDDL+";"+audited("items"), apply.TableSetup{Source: "shop.items", Target: items})
			w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
			w.log.add(t, ins(items, item(1, 1, "x")), ins(items, item(2, 1, "x")), ins(items, item(3, 1, "x")), ins(items, item(4, 1, "x")))
			w.start()
			w.applied()
			zombie := *w
			zombie.applier.Pause()
			w.opts.Lanes = lanes
			w.start()
			w.applied()
			eventually(t, "the ledger has the lanes of the new one", func() bool { return w.text("SELECT count(*)::text FROM crossfade.ledger") == fmt.Sprint(lanes) })
			w.applier.Pause()
			w.log.add(t, upd(items, item(1, 2, "y")), upd(items, item(2, 2, "y")), upd(items, item(3, 2, "y")), upd(items, item(4, 2, "y")))
			zombie.applier.Resume()
			if err := zombie.fails(); !errors.Is(err, apply.ErrRevoked) {
				t.Fatal(err)
			}
			w.expect("SELECT max(a)::text FROM items", "1")
			w.expect("SELECT max(seq)::text FROM crossfade.ledger", "2")
			w.applier.Resume()
			w.applied()
			w.expect("SELECT min(a)::text FROM items", "2")
			w.onceInOrder()
			w.expect("SELECT count(*)::text FROM audit", "8")
		})
	}
}

// TestARevokedApplierStops: a cutover takes the token; the applier ends with that reason, also when it has nothing to do but to move its ledger.
func TestARevokedApplierStops(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	w.start()
	w.log.add(t, ins(items, item(1, 1, "x")))
	w.applied()
	if _, err := w.target.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.log.control(t, change.ControlMessage{Type: change.Heartbeat})
	if err := w.fails(); !errors.Is(err, apply.ErrRevoked) {
		t.Fatal(err)
	}
}

// TestACommitWhoseAnswerIsLostIsNotRepeated: the connection is cut on which a COMMIT is answered. The ledger says that the transaction is committed: of
// rows, of a barrier, of one that moves no ledger, and of a replay, nothing is done again.
func TestACommitWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	items, users := itemTable(), userTable()
	db := testdb.Postgres(t, 15).Database(t)
	p := newProxy(t, db.Server)
	w := newWorldAt(t, db, p.url(db), strictItemDDL+";"+userDDL+";"+auditDDL+";"+audited("items")+";"+audited("users"),
		apply.TableSetup{Source: "shop.items", Target: items}, apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.start()
	w.applied()
	lost := func(n int64, what string) {
		t.Helper()
		if kept := p.kept.Swap(0); kept != n || p.armed.Load() != 0 {
			t.Fatalf("%s: %d answers were lost, not %d", what, kept, n)
		}
	}
	hi, hu := newHistory(items, 31, 100), newHistory(users, 32, 30)
	for range 10 {
		var frame []change.Change
		for range 60 {
			frame = append(frame, hi.next(), hu.next())
		}
		p.armed.Store(2)
		w.log.add(t, frame...)
		w.applied()
		lost(2, "rows")
	}
	p.armed.Store(1)
	w.log.control(t, change.ControlMessage{Type: change.Marker, Epoch: 3})
	w.applied()
	p.armed.Store(0)
	if p.kept.Swap(0) != 1 {
		t.Fatal("no answer of the marker was lost")
	}
	w.expect("SELECT min(marker_epoch)::text FROM crossfade.ledger", "3")
	// Rows that are read again take strictness back, by a transaction that moves no ledger.
	id := int64(5000)
	p.armed.Store(1)
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.items", Keys: [][]byte{change.AppendKey(nil, []int{0}, key(id))}})
	w.applied()
	lost(1, "strictness taken back")
	w.expect("SELECT state FROM crossfade.tables WHERE source_table = 'shop.items'", "copying")
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.add(t, ins(items, item(id, -1, "refused")))
	var late []change.Change
	for range 100 {
		late = append(late, hi.next())
	}
	w.log.add(t, late...)
	w.applied()
	w.db.Exec(t, "ALTER TABLE items DROP CONSTRAINT items_a_check")
	p.armed.Store(2) // of its rows, and of its end
	if err := w.applier.Replay(t.Context(), "shop.items"); err != nil {
		t.Fatal(err)
	}
	lost(2, "replay")
	w.log.add(t, del(items, key(id)))
	w.applied()
	hi.check(w, "items")
	hu.check(w, "users")
	w.db.Exec(t, "DELETE FROM audit WHERE id = 5000")
	w.onceInOrder()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyTheNextFrameOfTheStreamIsApplied: a frame of another stream, one that follows another frame than the one before, and one behind a gap are refused
// by the applier itself, whatever the log has let pass; and a stream that has other frames where lanes stand is refused before anything of it is applied.
func TestOnlyTheNextFrameOfTheStreamIsApplied(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	w.log.add(t, ins(items, item(1, 1, "x")))
	w.log.add(t, ins(items, item(2, 1, "x")))
	w.start()
	w.applied()
	good := w.log
	for _, c := range []struct {
		name, want string
		damage     func(l *memoryLog)
	}{
		{"another stream", "belongs to stream", func(l *memoryLog) { l.id = change.StreamID{9} }},
		{"another chain", "follows a frame with checksum", func(l *memoryLog) { l.sums[len(l.sums)-1]++ }},
		{"a gap", "frames are missing", func(l *memoryLog) { l.skip = 1 }},
	} {
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		bad := good.upTo(len(good.frames))
		w.log = bad
		w.start()
		bad.control(t, change.ControlMessage{Type: change.Heartbeat})
		w.applied()
		good = bad.upTo(len(bad.frames))
		c.damage(bad)
		bad.add(t, ins(items, item(3, 1, "never")))
		if err := w.fails(); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		w.log = good
		w.start()
		w.applied()
	}
	w.expect("SELECT count(*)::text FROM items", "2")
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	for n := range int64(30) { // more, for lanes to stand apart
		w.log.add(t, ins(items, item(10+n, 1, "x")), ins(items, item(100+n, 1, "x")), ins(items, item(200+n, 1, "x")))
	}
	w.apart(1, 10)
	restored := good.upTo(15)
	for n := range int64(30) {
		restored.add(t, ins(items, item(300+n, 1, "another history")), ins(items, item(400+n, 1, "another history")), ins(items, item(500+n, 1, "another history")))
	}
	before := w.text("SELECT count(*)::text FROM items")
	w.log = restored
	w.start()
	if err := w.fails(); !strings.Contains(err.Error(), "which lane") {
		t.Error(err)
	}
	w.expect("SELECT count(*)::text FROM items", before)
}
