package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// apart runs the world until one lane has died before the frames behind seq, and all others stand on the last frame.
func (w *world) apart(lane int, seq uint64) {
	w.t.Helper()
	last := uint64(len(w.log.frames))
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	w.trips = &trips{
		pick: func(tx *apply.Tx) bool { return tx.Lane == lane && tx.To.Seq > seq },
		wait: func() {
			eventuallyIn(ctx, w.t, "the other lanes stand on the last frame", func() bool {
				ahead := 0
				for _, l := range w.applier.Stats().Lanes {
					if l.Lane != lane && l.Seq == last {
						ahead++
					}
				}
				return ahead == len(w.applier.Stats().Lanes)-1
			})
		},
	}
	w.start()
	if err := w.fails(); !errors.Is(err, errTrip) {
		w.t.Fatal(err)
	}
	w.trips = nil
	rows, err := w.target.Ledger(w.t.Context())
	if err != nil || rows[lane].Seq > seq {
		w.t.Fatalf("lane %d does not lag behind frame %d: %+v, %v", lane, seq, rows, err)
	}
}

// TestLanesAreChangedWhereAllStand: the number of lanes changes over a restart while the lanes stand at different frames. No change is skipped, none is
// applied twice, in the table that is folded and in the one that is not.
func TestLanesAreChangedWhereAllStand(t *testing.T) {
	for _, c := range [][2]int{{4, 8}, {8, 3}} {
		t.Run(fmt.Sprintf("%d to %d", c[0], c[1]), func(t *testing.T) {
			items, users := itemTable(), userTable()
			w := newWorld(t, 15, itemDDL+";"+userDDL+";"+auditDDL+";"+audited("items")+";"+audited("users"),
				apply.TableSetup{Source: "shop.items", Target: items}, apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
			w.opts.Lanes = c[0]
			w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
			w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
			hi, hu := newHistory(items, uint64(c[0]), 200), newHistory(users, uint64(c[1]), 40)
			random := rand.New(rand.NewPCG(5, 5))
			publish := func(frames int) (middle uint64) {
				for n := range frames {
					var frame []change.Change
					for range 40 {
						if random.IntN(4) == 0 {
							frame = append(frame, hu.next())
						} else {
							frame = append(frame, hi.next())
						}
					}
					if seq := w.log.add(t, frame...); n == frames/2 {
						middle = seq
					}
				}
				return middle
			}
			w.apart(2, publish(20))
			w.apart(1, publish(20))
			w.opts.Lanes = c[1]
			w.start()
			publish(10)
			w.applied()
			w.expect(`SELECT count(*) || ' ' || min(lanes) || ' ' || max(lane) FROM crossfade.ledger`, fmt.Sprintf("%d %d %d", c[1], c[1], c[1]-1))
			if !w.events.told(apply.EventRelaned, fmt.Sprintf("%d to %d lanes", c[0], c[1])) {
				t.Error("nobody was told of the change")
			}
			publish(10)
			w.applied()
			hi.check(w, "items")
			hu.check(w, "users")
			w.onceInOrder()
			w.expect(`SELECT count(*)::text FROM audit WHERE t = 'users' AND new IS NOT NULL`, fmt.Sprint(hu.versions()))
		})
	}
}

// onceInOrder looks at what the triggers have seen: every change of a row starts from what the one before left, and is newer than all before.
func (w *world) onceInOrder() {
	w.t.Helper()
	w.expect(`SELECT count(*)::text FROM (SELECT *, lag(new) OVER (PARTITION BY t, id ORDER BY n) AS before, max(new) OVER (PARTITION BY t, id ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newest FROM audit) x
 WHERE old IS DISTINCT FROM before OR new <= newest`, "0")
}

// TestATableKeepsItsLaneOverARestart: a table that is spread over lanes goes to one when it becomes strict with unique indexes. That is written down: also
// with lanes apart, a restart brings all of its changes, each once.
func TestATableKeepsItsLaneOverARestart(t *testing.T) {
	users, items := userTable(), itemTable()
	w := newWorld(t, 15, userDDL+";"+itemDDL+";"+auditDDL+";"+audited("users"), apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}},
		apply.TableSetup{Source: "shop.items", Target: items})
	w.opts.Lanes = 4
	h := newHistory(users, 3, 100)
	publish := func(frames int) {
		for n := range frames {
			frame := []change.Change{upd(items, item(int64(n), 1, "nothing"))} // work for all lanes
			for range 30 {
				frame = append(frame, h.next())
			}
			w.log.add(t, frame...)
		}
	}
	publish(20)
	w.apart(1, 5)
	w.start()
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.applied()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.expect("SELECT one_lane::text FROM crossfade.tables WHERE source_table = 'shop.users'", "true")
	strict := uint64(len(w.log.frames))
	publish(20)
	own := int64(-1) // the lane of the table: the only one that counts its changes from now on
	w.db.Exec(t, "DELETE FROM crossfade.counts")
	w.start()
	w.applied()
	w.expect("SELECT count(*)::text FROM crossfade.counts WHERE source_table = 'shop.users'", "1")
	w.db.Get(t, "SELECT lane FROM crossfade.counts WHERE source_table = 'shop.users'", &own)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	publish(20)
	w.apart(int(own), strict+30)
	w.start()
	w.applied()
	want := ""
	for id := range h.keys {
		if v, ok := h.rows[id]; ok {
			want += fmt.Sprintf("%d:%d ", id, v)
		}
	}
	w.expect(`SELECT coalesce(string_agg(id || ':' || a, ' ' ORDER BY id) || ' ', '') FROM users`, want)
	w.onceInOrder()
}

// TestATableIsNotTakenIntoOneLaneWhileLanesStandApart: the mapping says of a table that is spread over lanes that its keys do not allow it. That takes
// effect where all lanes stand on one frame, and is refused before.
func TestATableIsNotTakenIntoOneLaneWhileLanesStandApart(t *testing.T) {
	items := itemTable()
	setup := apply.TableSetup{Source: "shop.items", Target: items}
	w := newWorld(t, 15, itemDDL, setup)
	for n := range int64(20) {
		w.log.add(t, ins(items, item(n, n, "x")), ins(items, item(100+n, n, "x")), ins(items, item(200+n, n, "x")))
	}
	w.apart(1, 5)
	setup.OneLane = true
	if err := w.target.Setup(t.Context(), []apply.TableSetup{setup}); err == nil {
		t.Fatal("the table went to one lane while the lanes stand apart")
	}
	w.opts.Tables = []apply.TableSetup{setup}
	w.start()
	if err := w.fails(); err == nil {
		t.Fatal("applied with another lane map")
	}
	w.opts.Tables[0].OneLane = false
	w.start()
	w.applied()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.opts.Tables[0].OneLane = true
	if err := w.target.Setup(t.Context(), w.opts.Tables); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.log.add(t, upd(items, item(1, 50, "y")), del(items, key(2)))
	w.applied()
	w.expect("SELECT count(*) || ' ' || sum(a) FROM items", fmt.Sprintf("59 %d", 3*190-2+49))
}

// TestIdleLanesMoveAndHoldNothing: the ledgers of lanes without changes follow the others by themselves. While one lane waits for a row that somebody
// else has locked, and the others wait for it at a barrier, no transaction is open but the one that waits; when the lock goes, the barrier passes.
func TestIdleLanesMoveAndHoldNothing(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	for n := range int64(5) {
		w.log.add(t, ins(items, item(n, n, "x"))) // five keys: not every lane has one in every frame
	}
	w.start()
	last := func() string { return fmt.Sprintf("%[1]d %[1]d", len(w.log.frames)) }
	ledger := func() string { return w.text("SELECT min(seq) || ' ' || max(seq) FROM crossfade.ledger") }
	eventually(t, "all ledgers stand on the last frame", func() bool { return ledger() == last() })
	locker := w.db.Connect(t)
	tx, err := locker.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM items WHERE id = 3 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	w.log.add(t, upd(items, item(3, 33, "y")))
	w.log.control(t, change.ControlMessage{Type: change.Marker, Epoch: 9})
	waiter := "0"
	eventually(t, "a lane waits for the row", func() bool {
		waiter = w.text(`SELECT coalesce(max(pid), 0)::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'crossfade' AND wait_event_type = 'Lock'`)
		return waiter != "0"
	})
	eventually(t, "the lane says what it waits for", func() bool { return w.events.told(apply.EventTrouble, "lock") })
	eventually(t, "the other lanes have come to the barrier", func() bool {
		return w.text(fmt.Sprintf("SELECT count(*)::text FROM crossfade.ledger WHERE seq = %d", len(w.log.frames)-1)) == "2"
	})
	w.expect(`SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'crossfade' AND xact_start IS NOT NULL AND pid <> `+waiter, "0")
	w.expect("SELECT a::text FROM items WHERE id = 3", "3")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.applied()
	w.expect("SELECT a::text FROM items WHERE id = 3", "33")
	w.expect("SELECT min(marker_epoch)::text FROM crossfade.ledger", "9")
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
}
