package postgres

import (
	"errors"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// On the way back the rows are there: the applier starts behind a frame, with strict tables, and never goes back behind what it has applied.
func TestAnApplierStartsBehindTheFrameThatItIsTold(t *testing.T) {
	t.Parallel()
	items := itemTable()
	setup := apply.TableSetup{Source: "shop.items", Target: items, Filled: true}
	w := newWorld(t, 15, itemDDL, setup)
	w.log.add(t, ins(items, item(1, 1, "skipped")))
	w.log.control(t, change.ControlMessage{Type: change.Heartbeat})
	place := apply.Place{Seq: 2, Sum: w.log.sums[1]}
	w.log.add(t, ins(items, item(2, 1, "x")))
	startAt := func(p apply.Place) {
		t.Helper()
		if err := w.target.StartAt(t.Context(), []apply.TableSetup{setup}, 2, w.opts.Stream.String(), p); err != nil {
			t.Fatal(err)
		}
	}
	startAt(place)
	w.start()
	w.applied()
	w.expect("SELECT string_agg(id::text, ',') FROM items", "2")
	w.expect("SELECT string_agg(concat(state, copied, strict_seq), ',') FROM crossfade.tables", "strictt1")
	w.applier.Pause()
	startAt(place)
	w.expect("SELECT min(seq)::text FROM crossfade.ledger", "3")
	w.db.Exec(t, "CREATE TABLE crossfade.gate (migration text, side text, state text); CREATE TABLE crossfade.attempt (migration text, side text, epoch bigint, state text); INSERT INTO crossfade.gate VALUES ('test', 'target', 'open')")
	refused := func(when string) {
		t.Helper()
		if _, err := w.target.Start(t.Context(), 2); !errors.Is(err, apply.ErrOpen) {
			t.Errorf("an applier %s: %v", when, err)
		}
	}
	refused("of an open side")
	w.db.Exec(t, "UPDATE crossfade.gate SET state = 'closed'; INSERT INTO crossfade.attempt VALUES ('test', 'target', 2, 'ABORTING')")
	refused("of a side that is being left")
	w.db.Exec(t, "UPDATE crossfade.attempt SET state = 'ABORTED'")
	if _, err := w.target.Start(t.Context(), 2); err != nil {
		t.Errorf("an applier of a side that nobody leaves: %v", err)
	}
}
