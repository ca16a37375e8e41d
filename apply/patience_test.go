package apply

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

func TestPatienceEndsWhenNothingIsHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, p := BePatient(t.Context(), time.Minute)
		for range 10 {
			time.Sleep(59 * time.Second)
			if ctx.Err() != nil {
				t.Fatal("it ended although there was progress")
			}
			p.Progress()
		}
		began := time.Now()
		<-ctx.Done()
		if d := time.Since(began); d != time.Minute || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("ended after %v: %v", d, context.Cause(ctx))
		}
		p.End()
	})
}

// A transaction takes fewer changes on which foreign keys act: each may have many children.
func TestChangesOnWhichForeignKeysActFillATransactionSooner(t *testing.T) {
	parent, child := &change.Table{Name: "p", Key: []int{0}, Columns: make([]change.Column, 2)}, &change.Table{Name: "c", Source: "s.c"}
	table := &Table{Setup: TableSetup{Ties: []Tie{{Child: child, Columns: []int{0}, OnDelete: CascadeAction}}}}
	fr := &frame{}
	var items []item
	row := func(n int64) change.Row { return change.Row{change.NewInt(n), change.NewInt(0)} }
	for i, c := range []change.Change{{Op: change.Delete, Before: row(1)}, {Op: change.Update, Before: row(2), After: row(2)}, {Op: change.Delete, Before: row(3), Unchecked: true}, {Op: change.Delete, Before: row(4)}} {
		c.Table = parent
		fr.changes, fr.shapes = append(fr.changes, c), append(fr.shapes, &shape{Table: parent, table: table})
		items = append(items, item{index: int32(i)})
	}
	if n := work(fr, items); n != 2*cascadeWork+2 {
		t.Errorf("work %d", n)
	}
	q := newQueue()
	for seq := uint64(1); seq <= 3; seq++ {
		q.push(unit{frame: fr, items: items, work: work(fr, items), seq: seq})
	}
	if n := q.prefix(2*(2*cascadeWork+2), 1<<20); n != 2 {
		t.Errorf("%d units go together", n)
	}
}
