package apply

import (
	"context"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// constraints makes what looks at several tables at once, foreign keys above all, while all lanes stand behind a whole source transaction: only there is
// the target a state that the source has had. A crash before the transaction repeats all of it.
func (r *run) constraints(ctx, work context.Context, place Place) error {
	for name, t := range r.tables {
		if !t.Strict || r.heldAnywhere(t) {
			r.a.notify(Event{Kind: EventTrouble, Table: name, Seq: place.Seq, Detail: "the table is held or not strict: constraints may not hold yet"})
		}
	}
	err := r.atBarrier(ctx, func() error {
		for _, sql := range r.a.opts.ConstraintSQL {
			if err := r.link.with(work, func(s Session) error { return s.Exec(work, sql) }); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		tx := r.tx(place)
		return r.commit(work, &tx)
	})
	if err != nil {
		return fmt.Errorf("%s in frame %d: %w", change.Constraints, place.Seq, err)
	}
	return nil
}
