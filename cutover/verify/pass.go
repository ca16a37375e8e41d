package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-io/crossfade/internal/change"
)

// parallelChunks is how many ranges a full pass compares at a time: while one waits for the target to catch up, another reads.
const parallelChunks = 3

// Result is the outcome of a full pass.
type Result struct {
	Tables      map[string]TableState `json:"tables"`
	Rows        int64                 `json:"rows_verified"`
	Differences []Difference          `json:"differences"`
}

// ErrQuiet refuses a full pass while a cutover is being tried.
var ErrQuiet = errors.New("a cutover is being tried: no full verification now")

// Full compares every row of the tables, all when none is named. Differences are part of the result, not an error.
func (v *Verifier) Full(ctx context.Context, only []string) (Result, error) {
	r, _, err := v.full(ctx, func() ([]string, bool) { return only, true })
	return r, err
}

// FullUnlessClean compares every row of all tables, unless a pass that ran meanwhile has found them clean.
func (v *Verifier) FullUnlessClean(ctx context.Context) (r Result, ran bool, err error) {
	return v.full(ctx, func() ([]string, bool) { return nil, !v.State().Clean })
}

// full runs a pass. Which tables, and whether at all, is asked once it is our turn: another pass may have ended while we waited, or a cutover begun.
func (v *Verifier) full(ctx context.Context, which func() (only []string, due bool)) (r Result, ran bool, err error) {
	if err := v.running.take(ctx); err != nil {
		return r, false, err
	}
	defer v.running.give()
	only, due := which()
	if !due {
		return r, false, nil
	}
	if v.quiet.Load() {
		return r, false, ErrQuiet
	}
	r, err = v.pass(ctx, only)
	return r, true, err
}

func (v *Verifier) pass(ctx context.Context, only []string) (Result, error) {
	v.touched.start()
	names := only
	if len(names) == 0 {
		names = v.names
	}
	v.set(func(s *State) { s.State, s.RowsVerified = "full", 0 })
	defer v.set(func(s *State) { s.State = "rounds" })
	for _, name := range names {
		t, err := v.table(name)
		if err != nil {
			return Result{}, err
		}
		if err := v.fullTable(ctx, t); err != nil {
			return Result{}, fmt.Errorf("verify %s: %w", name, err)
		}
	}
	s := v.State()
	if len(only) == 0 {
		v.mu.Lock()
		v.lastFull = time.Now()
		if s.Clean {
			v.lastClean = v.lastFull
		}
		v.mu.Unlock()
	}
	if err := v.save(ctx); err != nil {
		return Result{}, err
	}
	out := Result{Tables: map[string]TableState{}, Rows: s.RowsVerified}
	for _, n := range names {
		out.Tables[n] = s.Tables[n]
	}
	for _, d := range s.Differences {
		if _, ok := out.Tables[d.Table]; ok {
			out.Differences = append(out.Differences, d)
		}
	}
	return out, nil
}

// pass is the full comparison of one table.
type pass struct {
	v *Verifier
	t *Table

	mu       sync.Mutex
	state    TableState
	digest   sum128
	suspects [][]byte
}

func (v *Verifier) fullTable(ctx context.Context, t *Table) error {
	name := t.Source.String()
	if v.touched.overflowed(name) { // stays so if this pass does not come to its end
		v.set(func(s *State) {
			ts := s.Tables[name]
			ts.Unverified = true
			s.Tables[name] = ts
		})
	}
	v.touched.collect(name)
	p := &pass{v: v, t: t}
	// Counted before anything is compared: a row that somebody puts behind the comparison is not in it.
	rows, net, err := v.target.Count(ctx, t.Target)
	if err != nil {
		return err
	}
	base := rows - net
	p.state.Base = &base
	p.state.Unverified = v.cfg.Doubtful != nil && v.cfg.Doubtful(name)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelChunks)
	var after change.Row
	for last := false; !last && gctx.Err() == nil; {
		var upTo change.Row
		var err error
		if upTo, last, err = v.source.Bound(gctx, t.Source, after, v.cfg.ChunkRows); err != nil {
			if werr := g.Wait(); werr != nil {
				return werr
			}
			return err
		}
		if last {
			upTo = nil
		} else {
			upTo = upTo.Clone()
		}
		from := after
		g.Go(func() error { return p.chunk(gctx, from, upTo) })
		after = upTo
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if !t.Ordered {
		if err := p.extras(ctx); err != nil {
			return err
		}
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	if err := p.recheck(ctx); err != nil {
		return err
	}
	p.state.Digest = p.digest.String()
	p.state.Position, _ = v.stream.Published()
	v.set(func(s *State) {
		s.Tables[name] = p.state
		delete(v.counted, name)
	})
	return nil
}

// chunk compares one range. Rows that are not equal become suspects: whether they only changed meanwhile is found by settle.
func (p *pass) chunk(ctx context.Context, after, upTo change.Row) error {
	v, t := p.v, p.t
	m := t.NewMapper()
	h := hasher{table: t.Target}
	source := make(side, v.cfg.ChunkRows)
	var sum sum128
	var inSource, inTarget int64
	into := h.into(source, &inSource)
	proof, s := v.stream.Published()
	err := v.source.ReadRange(ctx, proof, t.Source, after, upTo, func(row change.Row) error {
		r, ok, err := m.Row(row)
		if err != nil || !ok {
			return err
		}
		return into(r)
	})
	if err != nil {
		return err
	}
	for _, x := range source {
		sum.add(x)
	}
	if err := v.settleAt(ctx); err != nil {
		return err
	}
	var suspects [][]byte
	var equal int64
	var key []byte
	check := func(row change.Row) error {
		inTarget++
		x, err := h.row(row)
		if err != nil {
			return err
		}
		key = change.AppendKey(key[:0], t.Target.Key, row)
		if want, ok := source[string(key)]; ok && want == x {
			equal++
			delete(source, string(key))
			return nil
		}
		suspects = append(suspects, append([]byte(nil), key...))
		delete(source, string(key))
		return nil
	}
	if t.Ordered {
		err = p.targetRange(ctx, m, after, upTo, check)
	} else {
		err = p.targetKeys(ctx, source, check)
	}
	if err != nil {
		return err
	}
	for k := range source {
		suspects = append(suspects, []byte(k))
	}
	for _, k := range suspects {
		v.touched.suspect(t.Source.String(), s, k)
	}
	v.set(func(st *State) { st.RowsVerified += equal })
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range m.Altered() {
		if i == len(p.state.Altered) {
			p.state.Altered = append(p.state.Altered, 0)
		}
		p.state.Altered[i] += n
	}
	p.state.Rows += equal
	p.state.SourceRows += inSource
	p.state.TargetRows += inTarget
	p.suspects = append(p.suspects, suspects...)
	p.digest.plus(sum)
	return nil
}

func (p *pass) targetRange(ctx context.Context, m Mapper, after, upTo change.Row, check func(change.Row) error) error {
	var bounds [2]change.Row
	for i, k := range []change.Row{after, upTo} {
		if k == nil {
			continue
		}
		tk, err := m.TargetKey(k)
		if err != nil {
			return err
		}
		bounds[i] = tk.Clone()
	}
	return p.v.target.ReadRange(ctx, p.t.Target, bounds[0], bounds[1], check)
}

func (p *pass) targetKeys(ctx context.Context, source side, check func(change.Row) error) error {
	const batch = 2000
	keys := make([]change.Row, 0, batch)
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := p.v.target.ReadKeys(ctx, p.t.Target, keys, check)
		keys = keys[:0]
		return err
	}
	all := make([]string, 0, len(source))
	for k := range source {
		all = append(all, k)
	}
	for _, k := range all {
		key, err := change.ReadKey([]byte(k), len(p.t.Target.Key))
		if err != nil {
			return err
		}
		if keys = append(keys, key); len(keys) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// extras finds target rows without a source row, in a table whose key the two sides order differently.
func (p *pass) extras(ctx context.Context) error {
	const batch = 2000
	v, t := p.v, p.t
	m := t.NewMapper()
	type pending struct{ target, source change.Row }
	var keys []pending
	flush := func() error {
		proof, s := v.stream.Published()
		missing := make(map[string]bool, len(keys))
		ask := make([]change.Row, 0, len(keys))
		for _, k := range keys {
			missing[string(change.AppendKey(nil, identity(len(k.target)), k.target))] = true
			ask = append(ask, k.source)
		}
		err := v.source.ReadKeys(ctx, proof, t.Source, ask, func(row change.Row) error {
			r, ok, err := m.Row(row)
			if err != nil || !ok {
				return err
			}
			delete(missing, string(change.AppendKey(nil, t.Target.Key, r)))
			return nil
		})
		if err != nil {
			return err
		}
		for k := range missing {
			v.touched.suspect(t.Source.String(), s, []byte(k))
			p.suspects = append(p.suspects, []byte(k))
		}
		keys = keys[:0]
		return nil
	}
	err := v.target.ReadRange(ctx, t.Target, nil, nil, func(row change.Row) error {
		tk := make(change.Row, len(t.Target.Key))
		for i, k := range t.Target.Key {
			tk[i] = row[k].Clone()
		}
		sk, err := m.SourceKey(tk)
		if err != nil {
			return err
		}
		if keys = append(keys, pending{tk, sk.Clone()}); len(keys) == batch {
			return flush()
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	return flush()
}

// settle compares the suspects of the pass by key. Those that changed meanwhile stay touched, and the rounds go on with them.
func (p *pass) settle(ctx context.Context) error {
	const batch = 2000
	// A known difference may be on neither side by now, and then no range has it.
	p.suspects = append(p.suspects, p.v.known(p.t.Source.String())...)
	for i := 0; i < len(p.suspects); i += batch {
		keys := p.suspects[i:min(i+batch, len(p.suspects))]
		out, err := p.v.compareKeys(ctx, p.t, keys)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.state.Rows += int64(out.equal)
		p.mu.Unlock()
		p.v.set(func(s *State) { s.RowsVerified += int64(out.equal) })
		if len(out.unequal) > 0 {
			if err := p.v.confirm(ctx, p.t, out.unequal); err != nil {
				return err
			}
		}
	}
	return nil
}

// recheck compares the rows once more that were known to differ: one that was copied again is equal in its chunk, and no longer among the touched keys.
func (p *pass) recheck(ctx context.Context) error {
	name := p.t.Source.String()
	var keys [][]byte
	for _, d := range p.v.State().Differences {
		if d.Table == name {
			keys = append(keys, d.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	_, s := p.v.stream.Published()
	for _, k := range keys {
		p.v.touched.suspect(name, s, k)
	}
	_, err := p.v.compareKeys(ctx, p.t, keys)
	return err
}

func identity(n int) []int {
	k := make([]int, n)
	for i := range k {
		k[i] = i
	}
	return k
}
