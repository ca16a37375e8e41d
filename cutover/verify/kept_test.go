package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// rows counts the rows of both sides, as a test may.
func (w *world) rows() (source, target int64) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), "SELECT (SELECT count(*) FROM src.item), (SELECT count(*) FROM dst.item)").Scan(&source, &target); err != nil {
		w.t.Fatal(err)
	}
	return source, target
}

func (w *world) kept() Kept {
	w.t.Helper()
	k, err := w.v.Kept(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return k["src.item"]
}

func TestKeptRowsAreExactWhateverIsInFlight(t *testing.T) {
	w := newWorld(t, 500, true)
	if _, ok := must(w.v.Kept(t.Context()))["src.item"]; ok {
		t.Fatal("rows are known that were never counted")
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for id := int64(10_000); ; id++ {
			select {
			case <-stop:
				return
			default:
			}
			w.applied(id, true)
			if id%3 == 0 {
				w.applied(id-1, false)
			}
			if id%40 == 0 { // the touched set of these tests is small
				if err := w.v.background(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for range 3 {
		if _, err := w.v.Full(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	base := w.v.State().Tables["src.item"].Base
	for range 300 {
		rows, net, err := w.v.target.Count(t.Context(), w.tab.Target)
		if err != nil || rows-net != *base {
			t.Fatalf("%d rows, %d counted by the ledger, base %d: %v", rows, net, *base, err)
		}
	}
	close(stop)
	<-done
	s, d := w.rows()
	if k := w.kept(); k.Source != s || k.Target != d || s == 500 {
		t.Errorf("kept %+v, there are %d and %d", k, s, d)
	}
	if wrong, err := w.v.Recount(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("counted again: %v, %v", wrong, err)
	}
	w.v = w.verifier() // a restart knows them
	w.applied(20_000_000, true)
	if k := w.kept(); k.Source != s+1 || k.Target != d+1 {
		t.Errorf("after a restart kept %+v, there are %d and %d", k, s+1, d+1)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestARowWrittenPastTheGateIsCountedBeforeTheFence(t *testing.T) {
	for what, sql := range map[string]string{
		"planted": "SET LOCAL session_replication_role = replica; INSERT INTO dst.item VALUES (7777, 'planted', 1)",
		"deleted": "SET LOCAL session_replication_role = replica; DELETE FROM dst.item WHERE id = 77",
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, 200, true)
			w.full()
			w.exec(sql)
			// The stream knows nothing of it: no key is touched, and the ledger has counted nothing.
			if n, err := w.v.Touched(t.Context()); n != 0 || err != nil || !w.v.State().Clean {
				t.Fatalf("compared %d, %v: this test is about what the comparison of touched keys cannot see", n, err)
			}
			if k := w.kept(); k.Source != k.Target {
				t.Fatalf("kept %+v", k)
			}
			_, d := w.rows()
			wrong, err := w.v.Recount(t.Context())
			if err != nil || len(wrong) != 1 || wrong[0] != (Miscount{"src.item", 200, d}) {
				t.Fatalf("counted again: %+v, %v", wrong, err)
			}
			if k := w.kept(); k.Source != 200 || k.Target != d {
				t.Errorf("kept %+v", k)
			}
			if w.v.State().Clean {
				t.Error("clean although a row is too many or missing")
			}
			w.v = w.verifier()
			if w.v.State().Clean {
				t.Error("a restart has forgotten it")
			}
			if r := w.full(); len(r.Differences) != 1 {
				t.Errorf("the full pass finds %+v", r.Differences)
			}
			if k := w.kept(); k.Source != 200 || k.Target != d {
				t.Errorf("after the full pass kept %+v", k)
			}
			w.exec("DELETE FROM dst.item WHERE id = 7777; INSERT INTO dst.item SELECT * FROM src.item WHERE id = 77 ON CONFLICT DO NOTHING")
			if r := w.full(); len(r.Differences) != 0 || !w.v.State().Clean {
				t.Errorf("mended, and the next full pass finds %+v", r.Differences)
			}
		})
	}
}

func TestARowWrittenBehindThePassIsNoPartOfTheKeptRows(t *testing.T) {
	w := newWorld(t, 1000, true) // ten ranges
	w.last = func() {
		for end := time.Now().Add(30 * time.Second); w.v.State().RowsVerified < 900; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Error("the other ranges are not compared")
				return
			}
		}
		w.exec("INSERT INTO dst.item VALUES (-5, 'behind', 1)")
	}
	if r := w.full(); len(r.Differences) > 0 {
		t.Fatalf("the pass has seen it: %+v", r)
	}
	wrong, err := w.v.Recount(t.Context())
	if err != nil || len(wrong) != 1 || wrong[0] != (Miscount{"src.item", 1000, 1001}) {
		t.Errorf("counted again: %+v, %v", wrong, err)
	}
}

func TestAPassThatDoesNotEndVerifiesNothing(t *testing.T) {
	w := newWorld(t, 200, true)
	w.full()
	for id := range int64(60) { // MaxKeys is 50
		w.observe(id + 1)
	}
	w.exec("UPDATE dst.item SET name = 'lost' WHERE id = 199")
	w.exec("ALTER TABLE src.item RENAME TO away")
	if _, err := w.v.Full(t.Context(), nil); err == nil {
		t.Fatal("a pass over a table that is not there succeeded")
	}
	w.exec("ALTER TABLE src.away RENAME TO item")
	w.mustRound()
	if w.v.State().Clean {
		t.Error("the keys that did not fit are forgotten")
	}
	w.v = w.verifier()
	if w.v.State().Clean {
		t.Error("a restart has forgotten them")
	}
	if r := w.full(); len(r.Differences) != 1 {
		t.Errorf("the full pass finds %+v", r.Differences)
	}
}

func TestADifferenceIsRememberedAlthoughThePassDoesNotEnd(t *testing.T) {
	w := newWorld(t, 100, true)
	w.full()
	gone := item("dst")
	gone.Name, gone.Source = "gone", "src.gone"
	w.v.tables["src.gone"] = &Table{Source: &catalog.Table{Schema: "src", Name: "gone", Key: []int{0}}, Target: gone, Ordered: true, NewMapper: w.tab.NewMapper}
	w.v.names = append(w.v.names, "src.gone")
	w.exec("DELETE FROM dst.item WHERE id = 50")
	if _, err := w.v.Full(t.Context(), nil); err == nil {
		t.Fatal("a pass over a table that is not there succeeded")
	}
	w.v = w.verifier()
	if d := w.v.State().Differences; len(d) != 1 || d[0].Key != "(id=50)" {
		t.Errorf("after a restart: %+v", d)
	}
}

func TestAFrameObservedInPartIsObservedAgainAfterACrash(t *testing.T) {
	w := newWorld(t, 50, true)
	w.full()
	w.observe(1)
	w.mu.Lock()
	w.seq++
	seq := w.seq
	w.mu.Unlock()
	of := func(id int64) *change.Change {
		return &change.Change{Table: w.tab.Target, Op: change.Update, After: change.Row{change.NewInt(id), {Kind: change.Null}, {Kind: change.Null}}}
	}
	w.v.Observe(seq, of(2)) // the frame has another change
	if err := w.v.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if floor, _ := w.v.Floor(); floor >= seq {
		t.Fatalf("frame %d may be purged although a part of it was not observed", seq)
	}
	w.v = w.verifier()
	from, _ := w.v.Floor()
	if from != seq-1 {
		t.Fatalf("after a crash the stream is observed from above %d, want %d", from, seq-1)
	}
	w.v.Observe(seq, of(2))
	w.v.Observe(seq, of(3))
	w.v.Passed(seq)
	if err := w.v.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if floor, _ := w.v.Floor(); floor != seq || w.v.State().TouchedKeys != 3 {
		t.Errorf("floor %d, want %d; %d keys touched, want 3", floor, seq, w.v.State().TouchedKeys)
	}
}

func TestALostChangeIsNotMaskedByAnOldReadOfTheSource(t *testing.T) {
	w := newWorld(t, 50, true)
	w.full()
	// Published and passed to the target, which loses it; the source shows it only to who asks for it (a replica, or a commit not yet visible).
	w.observe(7)
	w.late, w.lateAt = func() { w.exec("UPDATE src.item SET name = 'seven' WHERE id = 7") }, fmt.Sprint("p", w.seq)
	w.mustRound()
	if d := w.v.State().Differences; len(d) != 1 || d[0].Key != "(id=7)" {
		t.Errorf("the lost change was not found: %+v, %d keys touched", d, w.v.State().TouchedKeys)
	}
}

func TestUnderTheFenceNobodyIsWaitedForPastTheDeadline(t *testing.T) {
	w := newWorld(t, 10, true)
	w.full()
	w.observe(1)
	if err := w.v.running.take(t.Context()); err != nil { // a round hangs
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("the deadline passed"))
	defer cancel()
	if _, err := w.v.Touched(ctx); err == nil || context.Cause(ctx) == nil {
		t.Errorf("compared nothing: %v", err)
	}
	// A full pass that waits for its turn does not begin once a cutover is tried.
	full := make(chan error, 1)
	waiting := &waiter{Context: t.Context(), waits: make(chan struct{})}
	go func() {
		_, err := w.v.Full(waiting, nil)
		full <- err
	}()
	<-waiting.waits
	w.v.Quiet(true)
	w.v.running.give()
	if err := <-full; !errors.Is(err, ErrQuiet) {
		t.Errorf("a full pass beside a cutover: %v", err)
	}
}

// waiter tells when somebody waits for its end.
type waiter struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (w *waiter) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waits) })
	return w.Context.Done()
}
