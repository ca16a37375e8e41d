package verify

import (
	"context"
	"fmt"
	"time"
)

// Rows under the fence are not counted: that would take as long as the tables are large (S6). They are kept: every full pass begins by counting
// the target's rows, in one snapshot with what the ledger has counted. Rows less net is the base; it does not change while only the applier
// writes, for every transaction changes both by the same. So base plus net is the number of rows at any moment.
//
// That is the target. The source has the same rows, but for the known differences: the pass has compared every one of them by key, and every key
// changed since is compared again before the decision.
//
// What keeps this from being a tautology is that the target is counted again in the go/no-go, where it costs no pause. A row that somebody wrote
// past the gate, or deleted, changes the count and not the ledger: then the base is another one. What is written past the gate after the go/no-go, at
// a key that the stream does not touch, only the next full pass would see.

// Kept is the number of rows of a table, kept since they were counted.
type Kept struct {
	Source, Target int64
}

// Kept says how many rows every table has. It reads the ledger only. A table that was not counted is missing.
func (v *Verifier) Kept(ctx context.Context) (map[string]Kept, error) {
	net, err := v.target.Net(ctx)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	out := map[string]Kept{}
	for _, name := range v.names {
		base := v.state.Tables[name].Base
		if base == nil {
			continue
		}
		k := Kept{Source: *base + net[name], Target: *base + net[name]}
		if again, ok := v.counted[name]; ok {
			k.Target = again + net[name]
		}
		out[name] = k
	}
	for _, d := range v.diffs {
		k, ok := out[d.Table]
		switch {
		case !ok:
			continue
		case d.Kind == "missing":
			k.Source++
		case d.Kind == "extra":
			k.Source--
		}
		out[d.Table] = k
	}
	return out, nil
}

// Miscount is a table that does not have the rows that it should have.
type Miscount struct {
	Table         string
	Kept, Counted int64
}

// Recount counts the rows of the target again. It takes as long as that takes. A table with another number than was kept is unverified from now on.
func (v *Verifier) Recount(ctx context.Context) ([]Miscount, error) {
	var out []Miscount
	for _, name := range v.names {
		rows, net, err := v.target.Count(ctx, v.tables[name].Target)
		if err != nil {
			return out, err
		}
		v.mu.Lock()
		t := v.state.Tables[name]
		v.counted[name] = rows - net
		if t.Base != nil && *t.Base != rows-net {
			out = append(out, Miscount{Table: name, Kept: *t.Base + net, Counted: rows})
			t.Unverified = true
			v.state.Tables[name] = t
		}
		v.mu.Unlock()
	}
	if len(out) == 0 {
		return nil, nil
	}
	if err := v.running.take(ctx); err != nil {
		return out, err
	}
	defer v.running.give()
	if err := v.save(ctx); err != nil {
		return out, fmt.Errorf("remember that the rows of %s are not what they should be: %w", out[0].Table, err)
	}
	return out, nil
}

// Doubt makes tables unverified until their next full pass: their rows may have changed without a change in the log.
func (v *Verifier) Doubt(ctx context.Context, sources []string) error {
	if err := v.running.take(ctx); err != nil { // a pass under way may have read rows from before
		return err
	}
	defer v.running.give()
	return v.doubt(ctx, sources)
}

// BeginAgain forgets that anything was ever compared: the application has written to the side that is filled. The next full pass is a first one, see [Verifier.FullUnlessClean].
func (v *Verifier) BeginAgain(ctx context.Context) error {
	if err := v.running.take(ctx); err != nil {
		return err
	}
	defer v.running.give()
	v.mu.Lock()
	v.lastFull, v.lastClean = time.Time{}, time.Time{}
	v.mu.Unlock()
	return v.doubt(ctx, v.names)
}

func (v *Verifier) doubt(ctx context.Context, sources []string) error {
	v.set(func(s *State) {
		for _, name := range sources {
			if t, ok := s.Tables[name]; ok {
				t.Unverified = true
				s.Tables[name] = t
			}
		}
	})
	if err := v.save(ctx); err != nil {
		return fmt.Errorf("remember that tables have to be compared again: %w", err)
	}
	return nil
}
