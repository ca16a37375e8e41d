package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// TestAStrictTableThatIsNotTheSourceStopsEverything: before the strict frame rows may be missing or there already; behind it that is a violation, which stops all
// tables, names table, key and what was to be done, and which a restart comes upon again; also where the server names a partition's index.
func TestAStrictTableThatIsNotTheSourceStopsEverything(t *testing.T) {
	items, users := itemTable(), userTable()
	w := newWorld(t, 15, itemDDL+"; CREATE TABLE users (id bigint, a integer, b text, PRIMARY KEY (id)) PARTITION BY HASH (id); CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
		apply.TableSetup{Source: "shop.items", Target: items}, apply.TableSetup{Source: "shop.users", Target: users, Unique: true})
	w.start()
	w.log.chunk(t, items, item(1, 1, "one"))
	w.log.add(t, ins(items, item(1, 1, "one")), upd(items, item(50, 1, "none")), del(items, key(51)), ins(users, item(1, 1, "one")), ins(users, item(1, 1, "one")))
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.applied()
	for _, c := range []struct {
		change change.Change
		op     string
		mend   string
	}{
		{ins(items, item(1, 5, "doubled")), "insert", "DELETE FROM items WHERE id = 1"},
		{upd(items, item(60, 5, "missing")), "update", "INSERT INTO items VALUES (60, 1, 'x')"},
		{del(items, key(61)), "delete", "INSERT INTO items VALUES (61, 1, 'x')"},
		{rekey(items, key(62), item(63, 1, "moved")), "delete", "INSERT INTO items VALUES (62, 1, 'x')"},
		{rekey(items, key(64), change.Row{change.NewInt(65), {}, {}}), "change of key", "INSERT INTO items VALUES (64, 1, 'x')"},
		{ins(users, item(1, 5, "doubled")), "insert", "DELETE FROM users WHERE id = 1"},
		{upd(users, item(60, 5, "missing")), "update", "INSERT INTO users VALUES (60, 1, 'x')"},
		{del(users, key(61)), "delete", "INSERT INTO users VALUES (61, 1, 'x')"},
		{rekey(users, key(62), item(63, 1, "moved")), "change of key", "INSERT INTO users VALUES (62, 1, 'x')"},
	} {
		id := c.change.KeyRow()[0].String()
		other := items
		if c.change.Table == items {
			other = users
		}
		seq := w.log.add(t, c.change, ins(other, item(1000+int64(len(w.log.frames)), 0, "beside")))
		for range 2 {
			var violation *apply.Violation
			if err := w.fails(); !errors.As(err, &violation) || violation.Source != c.change.Table.Source || violation.Key != "(id="+id+")" || violation.Op != c.op || violation.Seq != seq {
				t.Fatalf("%s of %s %s in frame %d: %v, %+v", c.op, c.change.Table, id, seq, err, violation)
			}
			w.start()
		}
		if err := w.fails(); !strings.Contains(err.Error(), "verify --repair") {
			t.Errorf("no remedy: %v", err)
		}
		w.db.Exec(t, c.mend)
		w.start()
		w.applied()
	}
}

// TestAFilteredTableMayLackRows: of a table with a condition the log tells also of rows that the target never had. They are no violation, they are
// counted; and rows that are there are counted for what was done to them.
func TestAFilteredTableMayLackRows(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items, Filtered: true})
	w.start()
	w.log.chunk(t, items, item(1, 1, "one"), item(2, 1, "two"))
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.applied()
	w.db.Exec(t, "DELETE FROM crossfade.counts")
	upsert := func(row change.Row) change.Change { return change.Change{Table: items, Op: change.Upsert, After: row} }
	w.log.add(t, upd(items, item(9, 1, "not here")), del(items, key(8)), upd(items, item(1, 2, "here")), upsert(item(2, 5, "comes in again")), upsert(item(3, 5, "comes in")), ins(items, item(4, 4, "new")))
	w.log.add(t, upsert(item(5, 5, "in")), del(items, key(5)), del(items, key(4)), rekey(items, key(3), item(6, 6, "moved")), rekey(items, key(7), item(10, 6, "moved from nowhere")))
	w.applied()
	w.expect(`SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM items`, "1:2 2:5 6:6 10:6")
	if n := w.net("shop.items"); n != 4-2 {
		t.Errorf("%d rows more since it is strict, the counts say %d", 4-2, n)
	}
	missed := 0
	w.db.Get(t, "SELECT sum(missed)::integer FROM crossfade.counts", &missed)
	if missed < 3 { // 9, 8 and 7, besides those that come and go in one batch
		t.Errorf("%d rows were missed", missed)
	}
}

// TestConstraintsAreMadeAtTheirBarriers: unique indexes are built where the table becomes strict and foreign keys at the constraints frame, behind all that
// was before. A crash between the index and the transaction repeats both; a held table keeps foreign keys waiting until it is replayed.
func TestConstraintsAreMadeAtTheirBarriers(t *testing.T) {
	items, users := itemTable(), userTable()
	w := newWorld(t, 15, strictItemDDL+";"+userDDL, apply.TableSetup{Source: "shop.items", Target: items},
		apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
	const foreign = "SELECT count(*)::text FROM pg_constraint WHERE conname = 'items_user' AND convalidated"
	w.opts.ConstraintSQL = []string{
		`DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'items_user') THEN ALTER TABLE items ADD CONSTRAINT items_user FOREIGN KEY (a) REFERENCES users (id) NOT VALID; END IF; END $$`,
		`ALTER TABLE items VALIDATE CONSTRAINT items_user`}
	for n := range int64(50) { // children first: the lanes do not know of each other
		w.log.add(t, ins(items, item(n, n, "child")), ins(users, item(n, n, "x")))
	}
	for n := range int64(50) {
		w.log.add(t, upd(users, change.Row{change.NewInt(n), {}, change.NewText(string(rune('a' + n)))}))
	}
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.trips = &trips{pick: func(tx *apply.Tx) bool { return len(tx.States) > 0 }}
	w.start()
	if err := w.fails(); !errors.Is(err, errTrip) {
		t.Fatal(err)
	}
	w.expect("SELECT count(*)::text FROM pg_class WHERE relname = 'users_b'", "1") // made before the transaction
	w.expect("SELECT state FROM crossfade.tables WHERE source_table = 'shop.users'", "copying")
	w.trips = nil
	w.start()
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.add(t, ins(items, item(100, -1, "refused")))
	barrier := w.log.control(t, change.ControlMessage{Type: change.Constraints})
	w.log.add(t, ins(items, item(101, 1, "behind")))
	eventually(t, "the applier says what the constraints wait for", func() bool { return w.events.told(apply.EventTrouble, "while table shop.items is held") })
	if at := w.applier.Applied(); at >= barrier {
		t.Errorf("applied up to %d, beyond the constraints in %d", at, barrier)
	}
	w.expect(foreign, "0")
	w.db.Exec(t, "ALTER TABLE items DROP CONSTRAINT items_a_check; INSERT INTO users VALUES (-1, 1, '-1')") // what the source has
	if err := w.applier.Replay(t.Context(), "shop.items"); err != nil {
		t.Fatal(err)
	}
	w.applied()
	w.expect(foreign, "1")
	w.expect("SELECT count(*)::text FROM items", "52")
	if !w.events.told(apply.EventConstraints, "") {
		t.Error("nobody was told of the constraints")
	}
}

// TestNothingPassesAStrictBarrierBeforeItsIndex: while the unique index of a table that becomes strict cannot be built, all lanes wait on the frame before.
func TestNothingPassesAStrictBarrierBeforeItsIndex(t *testing.T) {
	t.Parallel()
	items, users := itemTable(), userTable()
	w := newWorld(t, 15, itemDDL+";"+userDDL, apply.TableSetup{Source: "shop.items", Target: items},
		apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
	w.start()
	w.log.add(t, ins(users, item(1, 1, "a")), ins(items, item(1, 1, "a")))
	w.applied()
	locker := w.db.Connect(t)
	if _, err := locker.Exec(t.Context(), "BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE"); err != nil { // writes go on beside it, an index does not
		t.Fatal(err)
	}
	barrier := w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.log.add(t, ins(items, item(2, 2, "behind")), ins(users, item(2, 2, "b")))
	eventually(t, "the index is waited for", func() bool { return w.events.told(apply.EventTrouble, "lock timeout") })
	if at := w.applier.Applied(); at >= barrier {
		t.Errorf("applied up to %d, beyond the barrier in %d", at, barrier)
	}
	w.expect("SELECT count(*)::text FROM items", "1")
	if _, err := locker.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	w.applied()
	w.expect("SELECT (SELECT count(*) FROM items) || ' ' || (SELECT count(*) FROM users) || ' ' || (SELECT count(*) FROM pg_class WHERE relname = 'users_b')", "2 2 1")
}

// TestWaitingEndsWithItsContextAndWithTheApplier: nothing waits for ever: neither for a frame that does not come, nor for anything of an applier that was stopped.
func TestWaitingEndsWithItsContextAndWithTheApplier(t *testing.T) {
	t.Parallel()
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.applier.Wait(ctx, 100); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited: %v", err)
	}
	a := w.applier
	eventually(t, "it runs", func() bool { return a.Stats().Running })
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	waiting := make(chan error, 1)
	go func() { waiting <- a.Wait(ctx, 100) }()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, apply.ErrStopped) {
		t.Errorf("waited on a stopped applier: %v", err)
	}
	if s := a.Stats(); s.Error != "" {
		t.Errorf("that it was stopped is shown as an error: %s", s.Error)
	}
	if err := a.Replay(t.Context(), "shop.items"); err == nil {
		t.Error("a stopped applier replays")
	}
}

// TestATruncateEmptiesTheTableBetweenWhatIsBeforeAndBehind: in all lanes, also of a table that a foreign key refers to, which the server does not truncate;
// the counts know how many rows there were. An applier that dies there empties it once.
func TestATruncateEmptiesTheTableBetweenWhatIsBeforeAndBehind(t *testing.T) {
	items, users := itemTable(), userTable()
	w := newWorld(t, 15, itemDDL+";"+userDDL+"; CREATE TABLE other (item bigint REFERENCES items)", apply.TableSetup{Source: "shop.items", Target: items}, apply.TableSetup{Source: "shop.users", Target: users})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	for n := range int64(100) {
		w.log.add(t, ins(items, item(n, n, "before")), ins(users, item(n, n, "before")))
	}
	barrier := w.log.add(t, change.Change{Table: items, Op: change.Truncate})
	w.log.add(t, change.Change{Table: users, Op: change.Truncate})
	for n := range int64(10) {
		w.log.add(t, ins(items, item(n, n, "behind")), ins(users, item(n, n, "behind")))
	}
	w.trips = &trips{pick: func(tx *apply.Tx) bool { return tx.From == barrier }}
	w.start()
	if err := w.fails(); !errors.Is(err, errTrip) {
		t.Fatal(err)
	}
	w.trips = nil
	w.start()
	w.applied()
	w.expect("SELECT count(*) || ' ' || min(b) FROM items", "10 behind")
	w.expect("SELECT count(*) || ' ' || min(b) FROM users", "10 behind")
	for _, source := range []string{"shop.items", "shop.users"} {
		if n := w.net(source); n != 10 {
			t.Errorf("the counts of %s say %d rows", source, n)
		}
	}
}
