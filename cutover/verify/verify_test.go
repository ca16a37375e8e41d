package verify

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// The source of these tests is another table of the same PostgreSQL server: what is tested is the comparison, not the engine.

func item(schema string) *change.Table {
	t := &change.Table{Schema: schema, Name: "item", Source: "src.item", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.Int}, {Name: "name", Type: "text", Kind: change.Text, Nullable: true},
		{Name: "price", Type: "numeric(10,2)", Kind: change.Decimal, Nullable: true}}}
	t.ID()
	return t
}

type pgSource struct {
	*Postgres
	table *change.Table
	w     *world
}

func (s pgSource) Position(context.Context) (string, error) { return "p", nil }
func (s pgSource) Bound(ctx context.Context, _ *catalog.Table, after change.Row, n int) (key change.Row, last bool, err error) {
	i := 0
	err = s.Postgres.ReadRange(ctx, s.table, after, nil, func(r change.Row) error {
		if i++; i == n {
			key = change.Row{r[0].Clone()}
		}
		return nil
	})
	return key, i <= n, err
}
func (s pgSource) ReadRange(ctx context.Context, proof string, _ *catalog.Table, after, upTo change.Row, emit func(change.Row) error) error {
	s.w.prove(proof)
	if upTo == nil && s.w.last != nil {
		s.w.last()
	}
	if err := s.Postgres.ReadRange(ctx, s.table, after, upTo, emit); err != nil {
		return err
	}
	s.w.afterSourceRead()
	return nil
}
func (s pgSource) ReadKeys(ctx context.Context, proof string, _ *catalog.Table, keys []change.Row, emit func(change.Row) error) error {
	s.w.prove(proof)
	if err := s.Postgres.ReadKeys(ctx, s.table, keys, emit); err != nil {
		return err
	}
	s.w.afterSourceRead()
	return nil
}

type same struct{}

func (same) Row(r change.Row) (change.Row, bool, error) { return r, true, nil }
func (same) TargetKey(k change.Row) (change.Row, error) { return k, nil }
func (same) Altered() []uint64                          { return nil }
func (same) SourceKey(k change.Row) (change.Row, error) { return k, nil }

// world is a source, a target, and a stream between them of which the test is the writer.
type world struct {
	t    *testing.T
	pool *pgxpool.Pool
	v    *Verifier
	tab  *Table

	mu   sync.Mutex
	seq  uint64
	last func() // runs before the last range of the source is read
	hook func() // runs once after the next read of the source
	// late is a change that is published and that the source shows only to a read that asks for its position.
	late   func()
	lateAt string
}

func (w *world) Published() (string, uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint("p", w.seq), w.seq
}

// prove makes a read see what its proof asks for.
func (w *world) prove(proof string) {
	w.mu.Lock()
	f := w.late
	if proof != w.lateAt {
		f = nil
	} else {
		w.late = nil
	}
	w.mu.Unlock()
	if f != nil {
		f()
	}
}
func (w *world) WaitCovered(context.Context, string) error { return nil }
func (w *world) WaitApplied(context.Context, uint64) error { return nil }

func (w *world) afterSourceRead() {
	w.mu.Lock()
	f := w.hook
	w.hook = nil
	w.mu.Unlock()
	if f != nil {
		f()
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// both makes a change on the source, in the stream, and on the target.
func (w *world) both(id int64, sql string) {
	w.t.Helper()
	w.exec(fmt.Sprintf(sql, "src"))
	w.observe(id)
	w.exec(fmt.Sprintf(sql, "dst"))
}

// applied makes an insert or a delete on both sides, with what the ledger counts of it in the same transaction.
func (w *world) applied(id int64, insert bool) {
	w.t.Helper()
	sql, ins, del := "DELETE FROM %s.item WHERE id = %d", 0, 1
	if insert {
		sql, ins, del = "INSERT INTO %s.item VALUES (%d, 'new', 1)", 1, 0
	}
	w.exec(fmt.Sprintf(sql, "src", id))
	w.observe(id)
	// Without arguments several statements are one transaction.
	w.exec(fmt.Sprintf(sql, "dst", id) + fmt.Sprintf("; UPDATE crossfade.counts SET inserted = inserted + %d, deleted = deleted + %d WHERE lane = %d", ins, del, id%2))
}

func (w *world) observe(id int64) {
	w.mu.Lock()
	w.seq++
	seq := w.seq
	w.mu.Unlock()
	row := change.Row{change.NewInt(id), {Kind: change.Null}, {Kind: change.Null}}
	w.v.Observe(seq, &change.Change{Table: w.tab.Target, Op: change.Update, After: row})
}

func (w *world) verifier() *Verifier {
	w.t.Helper()
	pg := NewPostgres(w.pool, "m", "target")
	v := New(Config{ChunkRows: 100, MaxKeys: 50, Logger: slog.New(slog.DiscardHandler)}, pgSource{pg, item("src"), w}, w, pg, pg, []*Table{w.tab})
	if err := pg.Setup(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if _, _, err := v.Restore(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func newWorld(t *testing.T, rows int, ordered bool) *world {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(testdb.Postgres(t, 15).Database(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range SessionParameters {
		cfg.ConnConfig.RuntimeParams[k] = v
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := &world{t: t, pool: pool, tab: &Table{Source: &catalog.Table{Schema: "src", Name: "item", Key: []int{0}}, Target: item("dst"), Ordered: ordered,
		NewMapper: func() Mapper { return same{} }}}
	for _, s := range []string{"src", "dst"} {
		w.exec(fmt.Sprintf("CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.item (id bigint primary key, name text, price numeric(10,2))", s))
		w.exec(fmt.Sprintf("INSERT INTO %s.item SELECT i, 'name '||i, i/100.0 FROM generate_series(1,$1::int) i", s), rows)
	}
	// The ledger's counts, as the applier makes them.
	w.exec("CREATE SCHEMA IF NOT EXISTS crossfade; CREATE TABLE crossfade.counts (migration text, side text, lane int, source_table text, inserted bigint, deleted bigint)")
	w.exec("INSERT INTO crossfade.counts VALUES ('m', 'target', 0, 'src.item', 7, 2), ('m', 'target', 1, 'src.item', 3, 0), ('other', 'target', 0, 'src.item', 100, 0)")
	w.v = w.verifier()
	return w
}

func (w *world) full() Result {
	w.t.Helper()
	r, err := w.v.Full(w.t.Context(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) mustRound() {
	w.t.Helper()
	if err := w.v.background(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// runUntil lets the verifier do by itself what it does, until its state is as it should be.
func (w *world) runUntil(what string, f func(State) bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.v.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !f(w.v.State()); <-tick.C {
		if time.Now().After(end) {
			w.t.Fatalf("never %s: %+v", what, w.v.State())
		}
	}
	cancel()
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
}

func TestEveryPlantedDifferenceIsFoundByKeyAndColumn(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		t.Run(fmt.Sprintf("ordered=%v", ordered), func(t *testing.T) {
			w := newWorld(t, 1000, ordered)
			if r := w.full(); len(r.Differences) != 0 || r.Rows != 1000 || !w.v.State().Clean {
				t.Fatalf("equal tables: %+v", r)
			}
			w.exec("UPDATE dst.item SET name = 'other', price = 0 WHERE id = 500")
			w.exec("DELETE FROM dst.item WHERE id = 250")
			w.exec("INSERT INTO dst.item VALUES (5000, 'extra', 1)")
			w.exec("UPDATE dst.item SET name = left(name, 4) WHERE id = 750") // as a column cut short would
			r := w.full()
			got := map[string]string{}
			for _, d := range r.Differences {
				got[d.Key] = fmt.Sprint(d.Kind, d.Columns)
			}
			want := map[string]string{"(id=500)": "differs[name price]", "(id=250)": "missing[]", "(id=5000)": "extra[]", "(id=750)": "differs[name]"}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("found %v, want %v", got, want)
			}
			if w.v.State().Clean {
				t.Error("clean with differences")
			}
			again := w.verifier() // a restart does not forget them
			if n := len(again.State().Differences); n != 4 {
				t.Errorf("%d differences after a restart", n)
			}
			w.v = again
			w.exec("UPDATE dst.item d SET name = s.name, price = s.price FROM src.item s WHERE s.id = d.id; DELETE FROM dst.item WHERE id = 5000; INSERT INTO dst.item SELECT * FROM src.item WHERE id = 250")
			if w.mustRound(); len(w.v.State().Differences) != 0 {
				t.Errorf("repaired rows still differ: %+v", w.v.State().Differences)
			}
		})
	}
}

func TestARowInFlightIsNoDifferenceAndIsComparedLater(t *testing.T) {
	w := newWorld(t, 50, true)
	w.hook = func() { w.both(7, "UPDATE %s.item SET name = 'moved' WHERE id = 7") } // between the two reads
	if r := w.full(); len(r.Differences) != 0 {
		t.Fatalf("a row in flight was called a difference: %+v", r.Differences)
	}
	if s := w.v.State(); s.TouchedKeys != 0 || !s.Clean || s.RowsVerified != 50 {
		t.Errorf("the row in flight was not compared again: %+v", s)
	}
}

func TestAKeyChangedDuringItsRoundStaysTouched(t *testing.T) {
	w := newWorld(t, 50, true)
	w.full()
	w.both(7, "UPDATE %s.item SET name = 'one' WHERE id = 7")
	// The target loses this change for the moment, and the read of the source saw the row before it: comparing old with old must clear nothing (D21).
	w.hook = func() {
		w.exec("UPDATE src.item SET name = 'two' WHERE id = 7")
		w.observe(7)
	}
	if err := w.v.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.v.State().TouchedKeys != 1 {
		t.Fatal("a key changed after the source was read was cleared")
	}
	w.mustRound()
	if d := w.v.State().Differences; len(d) != 1 || d[0].Key != "(id=7)" {
		t.Errorf("the lost change was not found: %+v", d)
	}
}

func TestTouchedKeysSurviveACrash(t *testing.T) {
	w := newWorld(t, 50, true)
	w.full()
	w.both(3, "UPDATE %s.item SET name = 'three' WHERE id = 3")
	if err := w.v.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	saved, active := w.v.Floor()
	w.both(4, "UPDATE %s.item SET name = 'four' WHERE id = 4") // above the checkpoint: the stream still has it
	if s, _ := w.v.Floor(); s != saved || !active {
		t.Fatalf("the floor moved to %d past the checkpoint %d", s, saved)
	}
	w.exec("UPDATE dst.item SET name = 'lost' WHERE id IN (3, 4)")
	w.v = w.verifier()
	w.observe(4) // the stream above the checkpoint is observed again
	w.mustRound()
	if d := w.v.State().Differences; len(d) != 2 {
		t.Errorf("after a crash %d of 2 lost changes are found: %+v", len(d), d)
	}
}

func TestWhatDoesNotFitMakesTheTableUnverified(t *testing.T) {
	w := newWorld(t, 200, true)
	w.full()
	for id := range int64(60) { // MaxKeys is 50
		w.observe(id + 1)
	}
	if s := w.v.State(); s.Clean || !s.Tables["src.item"].Unverified {
		t.Fatalf("keys were dropped in silence: %+v", s)
	}
	if w.full(); !w.v.State().Clean {
		t.Error("a full pass does not make it verified again")
	}
}

// A backlog after a restart touches more keys than are remembered. Nobody has to ask for the full pass that this needs, nor wait for the next regular one.
func TestATableThatHasBecomeUnverifiedIsComparedInFullByItself(t *testing.T) {
	w := newWorld(t, 200, true)
	w.full()
	clean := *w.v.State().LastCleanAt
	w.v.cfg.FullEvery, w.v.cfg.Every = time.Hour, 10*time.Millisecond
	for id := range int64(60) {
		w.observe(id + 1)
	}
	w.runUntil("clean", func(s State) bool { return s.Clean })
	if at := w.v.State().LastCleanAt; !at.Equal(clean) {
		t.Errorf("a pass of some tables counts as one of all: %s, was %s", at, clean)
	}
}

// A table is emptied while it is compared for the first time, so this pass ends without anything certain about it. No cutover is possible before one was clean.
func TestTheFirstPassIsTakenAgainWhenATableIsEmptiedUnderIt(t *testing.T) {
	w := newWorld(t, 200, true)
	w.v.cfg.FullEvery, w.v.cfg.Every = time.Hour, 10*time.Millisecond
	w.hook = func() {
		w.exec("TRUNCATE src.item, dst.item; DELETE FROM crossfade.counts")
		w.mu.Lock()
		w.seq++
		seq := w.seq
		w.mu.Unlock()
		w.v.Observe(seq, &change.Change{Table: w.tab.Target, Op: change.Truncate})
	}
	w.full()
	if s := w.v.State(); s.Clean || s.LastCleanAt != nil {
		t.Fatalf("clean though the table was emptied: %+v", s)
	}
	w.runUntil("clean", func(s State) bool { return s.Clean && s.LastCleanAt != nil })
}

// A difference that stays is no reason to read everything over and over again.
func TestAKnownDifferenceIsNotComparedInFullBeforeItsTime(t *testing.T) {
	w := newWorld(t, 200, true)
	w.v.cfg.FullEvery = time.Hour
	w.exec("UPDATE dst.item SET name = 'x' WHERE id = 7")
	w.full()
	if only, due := w.v.due(time.Time{}); due {
		t.Errorf("a full pass of %v begins at once", only)
	}
	w.v.cfg.FullEvery = 1
	if _, due := w.v.due(time.Time{}); !due {
		t.Error("no full pass begins when it is time")
	}
}

func TestUnderTheFenceEveryTouchedKeyIsCompared(t *testing.T) {
	w := newWorld(t, 200, true)
	w.full()
	for id := range int64(20) {
		w.both(id+1, fmt.Sprintf("UPDATE %%s.item SET name = 'x' WHERE id = %d", id+1))
	}
	n, err := w.v.Touched(t.Context())
	if err != nil || n != 20 || w.v.State().TouchedKeys != 0 {
		t.Errorf("compared %d, left %d, %v", n, w.v.State().TouchedKeys, err)
	}
	w.both(9, "UPDATE %s.item SET name = 'y' WHERE id = 9")
	w.exec("UPDATE dst.item SET name = 'planted' WHERE id = 9")
	if _, err := w.v.Touched(t.Context()); err != nil || len(w.v.State().Differences) != 1 {
		t.Errorf("planted difference: %+v, %v", w.v.State().Differences, err)
	}
}

// When the application has written to the side that is filled, nothing counts that was compared before, and the next full pass is a first one: it is taken once, not again by whoever
// waited for his turn.
func TestABeginningAgainForgetsWhatWasComparedAndOnePassIsEnough(t *testing.T) {
	w := newWorld(t, 200, true)
	w.v.cfg.FullEvery = time.Hour
	w.full()
	if _, ran, err := w.v.FullUnlessClean(t.Context()); ran || err != nil {
		t.Errorf("a clean database was compared again: %v", err)
	}
	if err := w.v.BeginAgain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.v.State(); s.Clean || s.LastCleanAt != nil {
		t.Errorf("what was compared before still counts: %+v", s)
	}
	if only, due := w.v.due(time.Time{}); due {
		t.Errorf("the background takes the first pass, of %v", only)
	}
	if _, ran, err := w.v.FullUnlessClean(t.Context()); !ran || err != nil {
		t.Errorf("ran %v, %v", ran, err)
	}
	if s := w.v.State(); !s.Clean || s.LastCleanAt == nil {
		t.Errorf("not clean: %+v", s)
	}
}
