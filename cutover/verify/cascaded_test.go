package verify

import (
	"math"
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Rows that no frame names are compared like others: until a checkpoint holds all that was applied they have to be told of again, and a table of which only that it changed
// is known is unverified.
func TestRowsThatCascadesChangeAreCompared(t *testing.T) {
	w := newWorld(t, 50, true)
	if f := w.v.Forget(); f != math.MaxUint64 {
		t.Errorf("before the first full pass rows are remembered up to %d", f)
	}
	w.full()
	applied := uint64(0)
	w.v.cfg.Applied = func() uint64 { return applied }
	tell := func(v *Verifier, id int64) {
		v.Cascaded("src.item", w.seq+1, change.AppendKey(nil, []int{0}, change.Row{change.NewInt(id)}))
	}
	w.exec("UPDATE dst.item SET name = 'missed' WHERE id = 8; DELETE FROM src.item WHERE id = 9")
	tell(w.v, 8)
	if f := w.v.Forget(); f != 0 {
		t.Errorf("what no checkpoint holds is forgotten up to %d", f)
	}
	w.v = w.verifier() // killed: whoever applies tells it again
	tell(w.v, 8)
	tell(w.v, 9)
	w.v.cfg.Applied = func() uint64 { return applied }
	w.observe(1) // the stream goes on
	applied = w.seq
	w.mustRound()
	found := map[string]string{}
	for _, d := range w.v.State().Differences {
		found[d.Key] = d.Kind
	}
	if found["(id=8)"] != "differs" || found["(id=9)"] != "extra" || len(found) != 2 {
		t.Errorf("found %v", found)
	}
	if f := w.v.Forget(); f != applied {
		t.Errorf("a checkpoint holds what was applied up to %d, forgotten is %d", applied, f)
	}
	w.v.Cascaded("src.item", w.seq+1, nil)
	if s := w.v.State(); !s.Tables["src.item"].Unverified {
		t.Error("a table of which any row may have changed is verified")
	}
}

// A pass that begins while cascades may miss rows of a table compares it, and does not make it verified.
func TestADoubtfulTableStaysUnverified(t *testing.T) {
	w := newWorld(t, 50, true)
	w.full()
	if err := w.v.Doubt(t.Context(), []string{"src.item"}); err != nil {
		t.Fatal(err)
	}
	doubtful := true
	w.v.cfg.Doubtful = func(source string) bool { return doubtful && source == "src.item" }
	for _, want := range []bool{true, false} {
		doubtful = want
		r := w.full()
		if s := w.v.State(); s.Tables["src.item"].Unverified != want || s.Clean == want || r.Rows != 50 {
			t.Errorf("doubtful %v: unverified %v, clean %v, %d rows", want, s.Tables["src.item"].Unverified, s.Clean, r.Rows)
		}
	}
	if err := w.v.Doubt(t.Context(), []string{"src.item"}); err != nil {
		t.Fatal(err)
	}
	w.v = w.verifier() // killed
	if s := w.v.State(); !s.Tables["src.item"].Unverified {
		t.Error("a doubt does not survive a restart")
	}
}
