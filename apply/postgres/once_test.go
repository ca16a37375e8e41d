package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// userTable has a further unique index from strict on, so it is applied in order in one lane.
func userTable() *change.Table {
	return &change.Table{Schema: "public", Name: "users", Source: "shop.users", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.Int}, {Name: "a", Type: "integer", Kind: change.Int, Nullable: true},
		{Name: "b", Type: "text", Kind: change.Text, Nullable: true}}}
}

const (
	userDDL    = `CREATE TABLE users (id bigint PRIMARY KEY, a integer, b text)`
	userUnique = `CREATE UNIQUE INDEX IF NOT EXISTS users_b ON users (b)`
	auditDDL   = `CREATE TABLE audit (n bigint GENERATED ALWAYS AS IDENTITY, t text, op text, id bigint, old integer, new integer);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'UPDATE' AND OLD.id <> NEW.id THEN -- a row that moves leaves one key and comes to another
    INSERT INTO audit (t, op, id, old, new) VALUES (TG_TABLE_NAME, TG_OP, OLD.id, OLD.a, NULL), (TG_TABLE_NAME, TG_OP, NEW.id, NULL, NEW.a);
    RETURN NULL;
  END IF;
  INSERT INTO audit (t, op, id, old, new) VALUES (TG_TABLE_NAME, TG_OP, CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END,
    CASE WHEN TG_OP <> 'INSERT' THEN OLD.a END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.a END);
  RETURN NULL; END $$`
)

func audited(table string) string {
	return fmt.Sprintf("CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON %[1]s FOR EACH ROW EXECUTE FUNCTION audit(); ALTER TABLE %[1]s ENABLE ALWAYS TRIGGER audit", table)
}

// killer ends connections of the applier at random moments, up to limit of them. After three strikes in a row it waits until a lane has moved: on a busy
// machine no transaction would be fast enough to get through for ever.
func killer(ctx context.Context, t testing.TB, w *world, seed uint64, limit int64) (kills *atomic.Int64, done chan struct{}) {
	kills, done = new(atomic.Int64), make(chan struct{})
	conn, applier := w.db.Connect(t), w.applier
	moved := func() (at uint64) {
		for _, l := range applier.Stats().Lanes {
			at += l.Seq
		}
		return at
	}
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(seed, 7))
		strikes, last := 0, uint64(0)
		for ctx.Err() == nil && kills.Load() < limit {
			select {
			case <-time.After(time.Duration(5+random.IntN(40)) * time.Millisecond):
			case <-ctx.Done():
				return
			}
			if at := moved(); at != last {
				strikes, last = 0, at
			}
			if strikes == 3 {
				continue
			}
			var n int64
			err := conn.QueryRow(context.Background(), `SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
 WHERE application_name = 'crossfade' AND datname = current_database() ORDER BY random() LIMIT 2) x`).Scan(&n)
			if err != nil {
				t.Errorf("kill connections: %v", err)
				return
			}
			if n > 0 {
				strikes++
			}
			kills.Add(n)
		}
	}()
	return kills, done
}

// history makes random changes of strict tables that are right for what the tables hold.
type history struct {
	random  *rand.Rand
	table   *change.Table
	rows    map[int64]int64 // id to version
	version int64
	keys    int64
	made    map[int64][]int64 // versions written to a key, in order; 0 is a delete
}

func newHistory(t *change.Table, seed uint64, keys int64) *history {
	return &history{random: rand.New(rand.NewPCG(seed, 1)), table: t, rows: map[int64]int64{}, keys: keys, made: map[int64][]int64{}}
}

func (h *history) write(id int64) change.Row {
	h.version++
	h.rows[id] = h.version
	h.made[id] = append(h.made[id], h.version)
	return item(id, h.version, fmt.Sprintf("v%d", h.version))
}

func (h *history) next() change.Change {
	id := h.random.Int64N(h.keys)
	if _, ok := h.rows[id]; !ok {
		return ins(h.table, h.write(id))
	}
	remove := func() {
		delete(h.rows, id)
		h.made[id] = append(h.made[id], 0)
	}
	switch h.random.IntN(6) {
	case 0:
		remove()
		return del(h.table, key(id))
	case 1:
		if to := h.random.Int64N(h.keys); to != id {
			if _, taken := h.rows[to]; !taken {
				remove()
				return rekey(h.table, key(id), h.write(to))
			}
		}
	}
	return upd(h.table, h.write(id))
}

// versions is how many rows were written.
func (h *history) versions() (n int) {
	for _, list := range h.made {
		for _, v := range list {
			if v > 0 {
				n++
			}
		}
	}
	return n
}

func (h *history) check(w *world, name string) {
	w.t.Helper()
	want := ""
	for id := range h.keys {
		if v, ok := h.rows[id]; ok {
			want += fmt.Sprintf("%d:%d:v%d ", id, v, v)
		}
	}
	w.expect(`SELECT coalesce(string_agg(id || ':' || a || ':' || b, ' ' ORDER BY id) || ' ', '') FROM `+name, want)
	w.expect(`SELECT (sum(inserted) - sum(deleted))::text FROM crossfade.counts WHERE source_table = 'shop.`+name+`'`, fmt.Sprint(len(h.rows)))
}

// TestEachChangeArrivesOnceThroughLostConnections: connections are ended at random moments, commits included. Every row change that a trigger sees starts
// from what the one before left, and is newer than it: nothing was lost, doubled or turned back. In the table that is not folded every version arrives.
func TestEachChangeArrivesOnceThroughLostConnections(t *testing.T) {
	items, users := itemTable(), userTable()
	w := newWorld(t, 15, itemDDL+";"+userDDL+";"+auditDDL+";"+audited("items")+";"+audited("users"),
		apply.TableSetup{Source: "shop.items", Target: items}, apply.TableSetup{Source: "shop.users", Target: users, Unique: true, UniqueSQL: []string{userUnique}})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.users"})
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	kills, done := killer(ctx, t, w, 11, 40)
	hi, hu := newHistory(items, 5, 300), newHistory(users, 6, 60)
	random := rand.New(rand.NewPCG(3, 3))
	deadline := time.Now().Add(time.Minute)
	for kills.Load() < 40 && time.Now().Before(deadline) {
		var frame []change.Change
		for range 1 + random.IntN(300) {
			if random.IntN(8) == 0 {
				frame = append(frame, hu.next())
			} else {
				frame = append(frame, hi.next())
			}
		}
		seq := w.log.add(t, frame...)
		if random.IntN(4) == 0 { // let it catch up, so that small transactions are hit too
			w.appliedTo(seq)
		}
	}
	cancel()
	<-done
	w.applied()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if kills.Load() < 20 {
		t.Fatalf("only %d connections were ended", kills.Load())
	}
	hi.check(w, "items")
	hu.check(w, "users")
	w.onceInOrder()
	versions := fmt.Sprint(hu.versions())
	w.expect(`SELECT count(*)::text FROM audit WHERE t = 'users' AND new IS NOT NULL`, versions)
	w.expect(`SELECT count(DISTINCT new)::text FROM audit WHERE t = 'users'`, versions)
}

// TestCopyThroughLostConnections: chunks, re-copied rows and changes of a table that is still copied, with connections ended all the time, end as the
// source is.
func TestCopyThroughLostConnections(t *testing.T) {
	items := itemTable()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: items})
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	kills, done := killer(ctx, t, w, 13, 40)
	const keys = 2000
	h := newHistory(items, 9, keys)
	for id := int64(0); id < keys; id += 2 {
		h.write(id)
	}
	// The source as it is when a chunk is read holds what was changed before; changes that come later may be in it or not.
	for from := int64(0); from < keys; from += 100 {
		var before, after []change.Change
		for range 80 {
			before = append(before, h.next())
		}
		for range 40 {
			after = append(after, h.next())
		}
		w.log.add(t, before...)
		var rows []change.Row
		for id := from; id < from+100; id++ {
			if v, ok := h.rows[id]; ok {
				rows = append(rows, item(id, v, fmt.Sprintf("v%d", v)))
			}
		}
		if len(rows) > 0 {
			w.log.chunk(t, items, rows...)
		}
		w.log.add(t, after...)
		if from%500 == 0 {
			w.applied()
		}
	}
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.items"})
	cancelled := w.log.add(t, h.next())
	w.appliedTo(cancelled)
	cancel()
	<-done
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	want := ""
	for id := range int64(keys) {
		if v, ok := h.rows[id]; ok {
			want += fmt.Sprintf("%d:%d:v%d ", id, v, v)
		}
	}
	w.expect(`SELECT coalesce(string_agg(id || ':' || a || ':' || b, ' ' ORDER BY id) || ' ', '') FROM items`, want)
	if kills.Load() == 0 {
		t.Error("no connection was ended")
	}
}
