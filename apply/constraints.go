package apply

import (
	"context"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// constraints makes what looks at several tables at once, foreign keys above all, while all lanes stand behind a whole source transaction: only there is
// the target a state that the source has had. A crash before the transaction repeats all of it. A table that is held lacks changes, so
// the lanes stand here until it is replayed: the answer to a constraint over half a history would be wrong either way.
func (r *run) constraints(ctx, work context.Context, place Place) error {
	err := r.atBarrier(ctx, func() error {
		if err := r.untilNothingHeld(ctx, work, place); err != nil {
			return err
		}
		if err := r.statements(work, r.a.opts.ConstraintSQL); err != nil {
			return err
		}
		tx := r.tx(place)
		return r.commit(work, &tx)
	})
	if err != nil {
		return fmt.Errorf("%s in frame %d: %w", change.Constraints, place.Seq, err)
	}
	r.a.notify(Event{Kind: EventConstraints, Seq: place.Seq})
	return nil
}

// untilNothingHeld serves replays, all lanes standing, until no table is held.
func (r *run) untilNothingHeld(ctx, work context.Context, place Place) error {
	defer r.a.inTrouble(AllLanes, nil)
	for {
		held := ""
		for name, t := range r.tables {
			if r.heldAnywhere(t) {
				held = name
			}
		}
		if held == "" {
			return nil
		}
		r.a.inTrouble(AllLanes, fmt.Errorf("constraints cannot be made while table %s is held: run crossfade resume --table %s", held, held))
		select {
		case q := <-r.a.asks:
			result, fatal := r.replayStanding(ctx, work, q.source)
			q.done <- result
			if fatal != nil {
				return fatal
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
