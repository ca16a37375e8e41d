package apply

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/crossfade-io/crossfade/internal/change"
)

// model is a table as a map from key to its columns; column 0 is the key.
type model map[int64][3]int64

const unset = -1 // what a column without a value gets

func testShape() *change.Table {
	return &change.Table{Schema: "public", Name: "t", Source: "shop.t", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.Int}, {Name: "a", Type: "bigint", Kind: change.Int, Nullable: true}, {Name: "b", Type: "bigint", Kind: change.Int, Nullable: true}}}
}

func intRow(id int64, values ...int64) change.Row {
	row := change.Row{change.NewInt(id)}
	for _, v := range values {
		if v == unset {
			row = append(row, change.Value{})
		} else {
			row = append(row, change.NewInt(v))
		}
	}
	return row
}

// naive applies one event the way the design says, without folding. It returns false when a strict table does not allow it.
func (m model) naive(md mode, op change.Op, id int64, row change.Row) bool {
	old, exists := m[id]
	set := func(base [3]int64) {
		for i := 1; i < 3; i++ {
			if row[i].Kind != change.Absent {
				base[i] = row[i].Int()
			}
		}
		base[0] = id
		m[id] = base
	}
	switch op {
	case change.Insert:
		if exists && md == strict {
			return false
		}
		set([3]int64{id, unset, unset})
	case change.Upsert, change.Copy:
		set([3]int64{id, unset, unset})
	case change.Update:
		if exists {
			set(old)
		} else if md == strict {
			return false
		}
	case change.Delete:
		if !exists && md == strict {
			return false
		}
		delete(m, id)
	}
	return true
}

// run applies folded steps the way a target does.
func (m model) run(steps []Step, counts *Count) error {
	for _, s := range steps {
		n := int64(0)
		for i := range s.Len() {
			var key int64
			if s.Keys != nil {
				key = s.Keys[i][0].Int()
			} else {
				key = s.Rows[i][0].Int()
			}
			old, exists := m[key]
			switch s.Op {
			case InsertRows:
				if exists {
					return fmt.Errorf("insert of existing %d", key)
				}
				m.naive(strict, change.Insert, key, s.Rows[i])
				n++
			case PutRows, CopyRows:
				m.naive(copying, change.Upsert, key, s.Rows[i])
				n++
			case UpdateRows:
				if exists {
					m.naive(strict, change.Update, key, s.Rows[i])
					n++
				}
			case DeleteRows:
				if exists {
					delete(m, key)
					n++
				}
			default:
				return fmt.Errorf("unexpected %s", s.Op)
			}
			_ = old
		}
		if s.Exact && n != int64(s.Len()) {
			return fmt.Errorf("%s changed %d of %d", s.Op, n, s.Len())
		}
		switch s.Tally {
		case TallyInserted:
			counts.Inserted += n
		case TallyUpdated:
			counts.Updated += n
		case TallyDeleted, TallyCleared:
			counts.Deleted += n
		}
	}
	return nil
}

var rowOps = []change.Op{change.Insert, change.Update, change.Delete, change.Upsert, change.Copy}

// TestFoldEqualsOneByOne: whatever happens to a few keys in one transaction, what the fold comes to has the same effect as the events one by
// one, in every mode, and from strict on the counts say how many rows there are.
func TestFoldEqualsOneByOne(t *testing.T) {
	shape := testShape()
	rapid.Check(t, func(rt *rapid.T) {
		md := rapid.SampledFrom([]mode{copying, lenient, strict}).Draw(rt, "mode")
		want, got := model{}, model{}
		for id := range int64(4) {
			if rapid.Bool().Draw(rt, "exists") {
				want[id] = [3]int64{id, 1000 + id, 2000 + id}
			}
		}
		maps.Copy(got, want)
		before := len(got)
		table := &Table{Setup: TableSetup{Source: "shop.t", Target: shape}, Strict: md == strict, WasStrict: md != copying}
		var f fold
		f.reset(table, shape, md)
		var arena change.Arena
		var rows, copies []change.Row
		for i := range rapid.IntRange(1, 30).Draw(rt, "events") {
			op := rapid.SampledFrom(rowOps).Draw(rt, "op")
			id := rapid.Int64Range(0, 3).Draw(rt, "id")
			column := func(name string) int64 {
				if rapid.IntRange(0, 3).Draw(rt, name) == 0 {
					return unset
				}
				return int64(10*i) + 10000
			}
			row := intRow(id, column("a"), column("b"))
			rows, copies = append(rows, row), append(copies, row.Clone())
			trial := maps.Clone(want)
			allowed := trial.naive(md, op, id, row)
			var err error
			if op == change.Delete {
				err = f.add(op, uint64(id*7), row, nil, &arena)
			} else {
				err = f.add(op, uint64(id*7), row, row, &arena)
			}
			var violation *Violation
			if err != nil {
				if allowed || !errors.As(err, &violation) {
					rt.Fatalf("%s of %d: %v", op, id, err)
				}
				continue // this event is not part of the history
			}
			if !allowed { // found by the target: replace the history by one without an answer from the fold
				steps := f.steps(nil, 0)
				counts := f.count
				if err := maps.Clone(got).run(steps, &counts); err == nil {
					rt.Fatalf("%s of %d on %v is not noticed", op, id, want[id])
				}
				return
			}
			want = trial
		}
		steps := f.steps(nil, 0)
		counts := f.count
		if err := got.run(steps, &counts); err != nil {
			rt.Fatalf("steps %v: %v", steps, err)
		}
		if !maps.Equal(want, got) {
			rt.Fatalf("mode %d: one by one %v, folded %v by %v", md, want, got, steps)
		}
		if md != copying && int64(len(got)-before) != counts.Inserted-counts.Deleted {
			rt.Fatalf("mode %d: %d rows became %d, counts say +%d -%d", md, before, len(got), counts.Inserted, counts.Deleted)
		}
		for i := range rows {
			if !slices.EqualFunc(rows[i], copies[i], func(a, b change.Value) bool { return a.Kind == b.Kind && a.N == b.N }) {
				rt.Fatal("a row of a frame was changed by folding")
			}
		}
	})
}
