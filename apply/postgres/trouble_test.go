package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// TestTheTargetIsKilledWhileApplying: the server dies in the middle of transactions, several times, and comes back. The applier goes on by itself, and
// every change arrives once.
func TestTheTargetIsKilledWhileApplying(t *testing.T) {
	t.Parallel()
	items, users := itemTable(), userTable()
	server := testdb.NewPostgres(t, 18, "fsync=on")
	w := newWorldAt(t, server.Database(t), "", itemDDL+";"+userDDL+";"+auditDDL+";"+audited("items")+";"+audited("users"),
		apply.TableSetup{Source: "shop.items", Target: items}, apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.start()
	w.applied()
	hi, hu := newHistory(items, 41, 300), newHistory(users, 42, 60)
	random := rand.New(rand.NewPCG(6, 6))
	publish := func(frames int) {
		for range frames {
			var frame []change.Change
			for range 1 + random.IntN(300) {
				if random.IntN(4) == 0 {
					frame = append(frame, hu.next())
				} else {
					frame = append(frame, hi.next())
				}
			}
			w.log.add(t, frame...)
		}
	}
	for range 2 {
		begun := w.applier.Applied()
		publish(40)
		eventually(t, "some of it is applied", func() bool { return w.applier.Applied() > begun })
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		publish(5)
		eventually(t, "the applier says that the target is gone", func() bool {
			return slices.ContainsFunc(w.applier.Stats().Lanes, func(l apply.LaneStats) bool { return l.Error != "" })
		})
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.applied()
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	hi.check(w, "items")
	hu.check(w, "users")
	w.onceInOrder()
}

// TestALockedRowIsWaitedFor: somebody holds a row for longer than lock_timeout. The lane tries again until it gets it; nothing is held or lost.
func TestALockedRowIsWaitedFor(t *testing.T) {
	t.Parallel()
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.add(t, ins(items, item(1, 1, "x")))
	w.start()
	w.applied()
	locker := w.db.Connect(t)
	if _, err := locker.Exec(t.Context(), "BEGIN; SELECT FROM items WHERE id = 1 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	w.log.add(t, upd(items, item(1, 2, "y")), ins(items, item(2, 2, "z")))
	eventually(t, "the lane says what it waits for", func() bool { return w.events.told(apply.EventTrouble, "55P03") })
	if _, err := locker.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	w.applied()
	w.expect(`SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM items`, "1:2 2:2")
	eventually(t, "it is told that the waiting is over", func() bool { return w.events.last(apply.EventTrouble, apply.EventMended) == apply.EventMended })
	if s := w.applier.Stats(); len(s.Held) > 0 || s.Lanes[0].Error+s.Lanes[1].Error+s.Lanes[2].Error != "" {
		t.Errorf("%+v", s)
	}
}

// TestADeadlockIsTriedAgain: the server ends a transaction of a lane to resolve a deadlock with another session. It is applied again, once, from what the
// ledger says.
func TestADeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	items := itemTable()
	w := newWorld(t, 15, itemDDL+";"+auditDDL+";"+audited("items"), apply.TableSetup{Source: "shop.items", Target: items, OneLane: true}) // applied in order
	w.db.Exec(t, "ALTER DATABASE "+quote(w.db.Name)+" SET deadlock_timeout = '700ms'")                                                    // below the lane's lock_timeout: it looks for the deadlock first
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.add(t, ins(items, item(1, 1, "x")), ins(items, item(2, 1, "x")))
	w.start()
	w.applied()
	other := w.db.Connect(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("SET deadlock_timeout = '1h'") // the lane is who finds it
	version := int64(1)
	deadline := time.Now().Add(time.Minute)
	for !w.events.told(apply.EventTrouble, "40P01") {
		if time.Now().After(deadline) {
			t.Fatal("there was no deadlock")
		}
		version++
		exec("BEGIN; SELECT FROM items WHERE id = 2 FOR UPDATE")
		w.log.add(t, upd(items, item(1, version, "y")), upd(items, item(2, version, "y")))
		eventually(t, "the lane waits for the second row", func() bool {
			return w.text(`SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'crossfade' AND wait_event_type = 'Lock'`) == "1"
		})
		exec("SELECT FROM items WHERE id = 1 FOR UPDATE") // the lane has it, or has just given it up
		exec("ROLLBACK")
		w.applied()
	}
	w.expect(`SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM items`, fmt.Sprintf("1:%[1]d 2:%[1]d", version))
	w.onceInOrder()
	w.expect("SELECT count(*)::text FROM audit", fmt.Sprint(2*version))
}

// TestALostPreparedStatementIsMadeAgain: somebody between applier and server resets connections. What the applier had prepared is gone; it prepares it
// again instead of asking for it for ever.
func TestALostPreparedStatementIsMadeAgain(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	s, err := w.target.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := w.target.Start(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tx := func(from uint64, id int64) *apply.Tx {
		return &apply.Tx{Token: d.Token, Lanes: 1, Stream: "s", From: from, To: apply.Place{Seq: from + 1}, Counts: []apply.Count{{Source: "shop.items"}},
			Steps: []apply.Step{{Shape: items, Op: apply.InsertRows, Exact: true, Rows: []change.Row{item(id, id, "x")}}}}
	}
	if err := s.Apply(t.Context(), tx(0, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.(*session).conn.Exec(t.Context(), "DEALLOCATE ALL").ReadAll(); err != nil {
		t.Fatal(err)
	}
	for attempt := 0; ; attempt++ {
		err := s.Apply(t.Context(), tx(1, 2))
		if err == nil {
			break
		}
		if attempt == 3 {
			t.Fatal(err)
		}
	}
	w.expect("SELECT string_agg(id::text, ' ' ORDER BY id) FROM items", "1 2")
}
