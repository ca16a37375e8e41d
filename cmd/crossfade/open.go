package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/stream"
)

// Facts that live with the stream, beside the shapes: what must be known of the source as it was, not as it is now.
const (
	factStart     = "start"     // position at which the migration began
	factIdentity  = "identity"  // of the source server
	factTables    = "tables"    // the selected source tables as they were at the start (D19)
	factMapping   = "mapping"   // what the tables were mapped to
	factSequences = "sequences" // those that no column owned at the start
	factCascades  = "cascades"  // what foreign keys of the source change is not in its log
	factFinished  = "finished"  // the after phase is done
	factStorage   = "storage"   // where the rows of the source's tables lay when they were last known to be compared, or about to be
	factPaused    = "paused"
	factTwoWay    = "two_way" // whether there is a way back
	factGuards    = "guards"  // what guards have decided
)

// open connects to both databases, opens the stream, and reads or makes the mapping.
func (f *flow) open(ctx context.Context) (err error) {
	if f.source, err = openSource(ctx, f.cfg, f.way, f.log); err != nil {
		return err
	}
	if err = f.openTarget(ctx); err != nil {
		return err
	}
	if f.stream, err = stream.Open(ctx, streamConfig(f.cfg, f.way), f.log); err != nil {
		return err
	}
	return nil
}

// openTarget connects both of our sides of the target: verification and gate, and the applier.
func (f *flow) openTarget(ctx context.Context) (err error) {
	if f.copied, err = openCopied(ctx, f.cfg, f.way); err != nil {
		return err
	}
	f.target, err = openApplied(ctx, f.cfg, f.way, f.log)
	return err
}

// selectedTables reads the catalog of the source.
func selectedTables(ctx context.Context, e *ends, match func(schema, table string) bool) ([]*catalog.Table, error) {
	tables, err := e.source.Catalog(ctx, match)
	if err != nil {
		return nil, fmt.Errorf("read the tables of the source: %w", err)
	}
	logged, err := e.source.CascadesLogged(ctx)
	if err != nil {
		return nil, err
	}
	e.cascades = !logged
	if len(tables) == 0 {
		return nil, control.Fail(control.ExitRefused, errors.New("no table of the source is selected"), "check source.tables and the SELECT privilege of the user")
	}
	e.sequences, err = e.source.Sequences(ctx, tables)
	return tables, err
}

// fact reads a fact of the stream; ok is false when it was never written.
func (f *flow) fact(ctx context.Context, key string, into any) (ok bool, err error) {
	b, ok, err := f.stream.Get(ctx, key)
	if err != nil || !ok {
		return false, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, fmt.Errorf("read %s beside the stream: %w", key, err)
	}
	return true, nil
}

func (f *flow) remember(ctx context.Context, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.stream.Put(ctx, key, b)
}

// start finds where capture goes on: behind the last frame of the stream, or where the migration began.
func (f *flow) start(ctx context.Context) (s capture.Start, err error) {
	ledger, err := f.target.Ledger(ctx)
	if err != nil {
		return s, err
	}
	if f.filled() {
		return f.startFilled(ctx, ledger)
	}
	tables, err := f.copyProgress(ctx)
	if err != nil {
		return s, err
	}
	// What was queued before an error may still be on its way: only an acknowledged end is an end.
	last, any, err := f.stream.Last(ctx)
	if err != nil {
		return s, err
	}
	at := lowest(ledger)
	if !any {
		if at.Seq > 0 {
			return s, fmt.Errorf("%w: the ledger stands on frame %d, the stream is empty: restore the state directory, or run `crossfade cleanup` and take a new snapshot", stream.ErrShrunk, at.Seq)
		}
		s.Tables = tables
		if _, err := f.fact(ctx, factStart, &s.Position); err != nil {
			return s, err
		}
		return s, f.sourceGoesOn(ctx, s.Position)
	}
	r, err := f.stream.Read(ctx, at.Seq, at.Sum)
	if err != nil {
		return s, err
	}
	defer r.Close()
	if err := f.holds(ctx, ledger); err != nil {
		return s, err
	}
	if s, err = capture.Recover(ctx, tables, r, at.Seq, last); err != nil {
		return s, err
	}
	return s, f.sourceGoesOn(ctx, s.Position)
}

// holds says by a nil error that the stream has the frames on which the ledger's rows stand: a lane ahead knows more of it than the lowest, and a stream restored from a
// copy may have the one and not the other.
func (f *flow) holds(ctx context.Context, ledger []apply.LaneRow) error {
	for _, l := range ledger {
		if l.Seq == 0 {
			continue
		}
		r, err := f.stream.Read(ctx, l.Seq, l.Sum)
		if err != nil {
			return err
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// startFilled is start where the rows are there already: nothing is copied, and every table is strict.
func (f *flow) startFilled(ctx context.Context, ledger []apply.LaneRow) (s capture.Start, err error) {
	if err := f.holds(ctx, ledger); err != nil {
		return s, err
	}
	s.Tables = map[string]capture.Progress{}
	for _, t := range f.tables {
		s.Tables[t.String()] = capture.Progress{Done: true, Strict: true}
	}
	last, any, err := f.stream.Last(ctx)
	if err != nil {
		return s, err
	}
	if any {
		s.Seq, s.Time, s.Position, s.Inside = last.Seq, last.Time, string(last.Position), last.Flags&change.TxEnd == 0
	} else if _, err := f.fact(ctx, factStart, &s.Position); err != nil {
		return s, err
	}
	return s, f.sourceGoesOn(ctx, s.Position)
}

// sourceGoesOn says by a nil error that the source's log can be read on from a position, also when another server has taken over since.
func (f *flow) sourceGoesOn(ctx context.Context, position string) error {
	if err := f.follow(ctx, position); err != nil {
		return err
	}
	return f.source.Contains(ctx, position)
}

// follow takes another server for the source when it is proven that its log goes on from the position.
func (f *flow) follow(ctx context.Context, position string) error {
	var was string
	if _, err := f.fact(ctx, factIdentity, &was); err != nil {
		return err
	}
	now, err := f.source.Identity(ctx)
	if err != nil || now == was {
		return err
	}
	if err := f.source.Follows(ctx, position, was); err != nil {
		return err
	}
	f.log.Warn("another server has taken over as the source, and has all that was read", "was", was, "now", now, "position", position)
	return f.remember(ctx, factIdentity, now)
}

// readUpTo is the place that has been read: of the last frame, or where the migration began.
func (f *flow) readUpTo(ctx context.Context) (position string, err error) {
	last, any, err := f.stream.Last(ctx)
	if err != nil {
		return "", err
	}
	if any && len(last.Position) > 0 {
		return string(last.Position), nil
	}
	_, err = f.fact(ctx, factStart, &position)
	return position, err
}

// lowest is the ledger row that stands furthest back.
func lowest(ledger []apply.LaneRow) (low apply.LaneRow) {
	for i, l := range ledger {
		if i == 0 || l.Seq < low.Seq {
			low = l
		}
	}
	return low
}

// copyProgress is what the target knows of the snapshot.
func (f *flow) copyProgress(ctx context.Context) (map[string]capture.Progress, error) {
	rows, err := f.target.Tables(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the progress of the snapshot: %w", err)
	}
	out := make(map[string]capture.Progress, len(rows))
	for _, t := range rows {
		out[t.Source] = capture.Progress{Next: t.Next, Rows: t.RowsCopied, Done: t.Copied, Strict: t.Strict}
	}
	return out, nil
}
