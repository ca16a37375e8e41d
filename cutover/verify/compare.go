package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"github.com/minio/highwayhash"

	"github.com/crossfade-io/crossfade/internal/canonical"
	"github.com/crossfade-io/crossfade/internal/change"
)

// hash is 128 bits: among 2^40 rows two different ones share it with probability 2^-49.
type hash [16]byte

// The key of the hash is part of the digests in reports; it is no secret.
var hashKey = []byte("crossfade row hash, version one.")

// hasher computes the hashes of rows of one table. One goroutine uses it.
type hasher struct {
	table *change.Table
	buf   []byte
}

func (h *hasher) row(row change.Row) (hash, error) {
	var err error
	if h.buf, err = canonical.AppendRow(h.buf[:0], h.table.Engine, h.table.Columns, row); err != nil {
		return hash{}, fmt.Errorf("%s %s: %w", h.table, h.table.KeyString(row), err)
	}
	return highwayhash.Sum128(h.buf, hashKey), nil
}

// sum128 adds hashes modulo 2^128: the digest of a set of rows does not depend on their order.
type sum128 struct{ hi, lo uint64 }

func (s *sum128) add(h hash) {
	s.plus(sum128{binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:])})
}

func (s *sum128) plus(o sum128) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
}

func (s sum128) String() string { return fmt.Sprintf("%016x%016x", s.hi, s.lo) }

// side is what one side has of the keys that are being compared.
type side map[string]hash

func (h *hasher) into(s side, n *int64) func(change.Row) error {
	var key []byte
	return func(row change.Row) error {
		sum, err := h.row(row)
		if err != nil {
			return err
		}
		key = change.AppendKey(key[:0], h.table.Key, row)
		s[string(key)] = sum
		*n++
		return nil
	}
}

// compared is the outcome for a set of keys.
type compared struct {
	equal   int
	moved   int      // changed meanwhile: nothing is said about them
	unequal [][]byte // compared and different
}

// compareKeys compares the rows of some target keys, exactly, whatever is written meanwhile.
func (v *Verifier) compareKeys(ctx context.Context, t *Table, keys [][]byte) (out compared, err error) {
	m := t.NewMapper()
	targetKeys := make([]change.Row, 0, len(keys))
	sourceKeys := make([]change.Row, 0, len(keys))
	for _, k := range keys {
		key, err := change.ReadKey(k, len(t.Target.Key))
		if err != nil {
			return out, fmt.Errorf("touched key of %s: %w", t.Target, err)
		}
		targetKeys = append(targetKeys, key)
		sk, err := m.SourceKey(key)
		if err != nil {
			return out, fmt.Errorf("source key of %s: %w", t.Target, err)
		}
		sourceKeys = append(sourceKeys, sk.Clone())
	}
	proof, s := v.stream.Published()
	h := hasher{table: t.Target}
	source, target := side{}, side{}
	var n int64
	into := h.into(source, &n)
	err = v.source.ReadKeys(ctx, proof, t.Source, sourceKeys, func(row change.Row) error {
		r, ok, err := m.Row(row)
		if err != nil || !ok {
			return err
		}
		return into(r)
	})
	if err != nil {
		return out, fmt.Errorf("read touched rows of %s: %w", t.Source, err)
	}
	if err := v.settleAt(ctx); err != nil {
		return out, err
	}
	if err := v.target.ReadKeys(ctx, t.Target, targetKeys, h.into(target, &n)); err != nil {
		return out, fmt.Errorf("read touched rows of %s: %w", t.Target, err)
	}
	name := t.Source.String()
	for _, k := range keys {
		a, inSource := source[string(k)]
		b, inTarget := target[string(k)]
		switch {
		case v.touched.last(name, k) > s:
			out.moved++
		case inSource != inTarget || a != b:
			out.unequal = append(out.unequal, k)
		case v.touched.settle(name, s, k):
			out.equal++
			v.forget(name, k)
		default:
			out.moved++
		}
	}
	return out, nil
}

// settleAt waits until the target has everything that the source read just done may have seen.
func (v *Verifier) settleAt(ctx context.Context) error {
	at, err := v.source.Position(ctx)
	if err != nil {
		return err
	}
	return v.saving(ctx, func() error {
		if err := v.stream.WaitCovered(ctx, at); err != nil {
			return err
		}
		_, seq := v.stream.Published()
		return v.stream.WaitApplied(ctx, seq)
	})
}

// saving writes the checkpoint again and again while f waits. Frames above the checkpoint are not purged, so f would wait for ever on a stream that is full.
func (v *Verifier) saving(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	tick := time.NewTicker(v.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if err := v.save(ctx); err != nil && ctx.Err() == nil {
				v.cfg.Logger.Warn("the checkpoint of the verification cannot be saved", "err", err)
			}
		}
	}
}

// round compares the keys touched since they were last compared. Keys that keep changing stay.
func (v *Verifier) round(ctx context.Context) error {
	const batch = 2000
	for _, name := range v.names {
		t := v.tables[name]
		for left := v.touched.count(name); left > 0; left -= batch {
			keys := v.touched.some(name, batch)
			if len(keys) == 0 {
				break
			}
			began := time.Now()
			out, err := v.compareKeys(ctx, t, keys)
			if err != nil {
				return err
			}
			v.measured(len(keys), time.Since(began))
			if len(out.unequal) > 0 {
				if err := v.confirm(ctx, t, out.unequal); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// confirmations is how often a key must be unequal, without a change in between, before it is called a difference.
const confirmations = 2

// confirm compares unequal keys again and records those that stay so as differences.
func (v *Verifier) confirm(ctx context.Context, t *Table, keys [][]byte) error {
	for range confirmations - 1 {
		out, err := v.compareKeys(ctx, t, keys)
		if err != nil {
			return err
		}
		keys = out.unequal
		if len(keys) == 0 {
			return nil
		}
	}
	found := false
	for _, k := range keys {
		d, ok, err := v.explain(ctx, t, k)
		if err != nil {
			return err
		}
		if ok {
			v.record(d)
			found = true
		}
	}
	if found { // at once: the pass that found it may not come to its end
		return v.save(ctx)
	}
	return nil
}

// explain reads both rows of an unequal key in full and names what differs. ok is false when they are equal by now.
func (v *Verifier) explain(ctx context.Context, t *Table, key []byte) (d Difference, ok bool, err error) {
	d = Difference{Table: t.Source.String(), Since: time.Now().Unix(), key: key}
	tk, err := change.ReadKey(key, len(t.Target.Key))
	if err != nil {
		return d, false, err
	}
	m := t.NewMapper()
	sk, err := m.SourceKey(tk)
	if err != nil {
		return d, false, err
	}
	var source, target change.Row
	proof, _ := v.stream.Published()
	err = v.source.ReadKeys(ctx, proof, t.Source, []change.Row{sk.Clone()}, func(row change.Row) error {
		r, ok, err := m.Row(row)
		if ok {
			source = r.Clone()
		}
		return err
	})
	if err != nil {
		return d, false, err
	}
	if err := v.settleAt(ctx); err != nil {
		return d, false, err
	}
	err = v.target.ReadKeys(ctx, t.Target, []change.Row{tk}, func(row change.Row) error {
		target = row.Clone()
		return nil
	})
	if err != nil {
		return d, false, err
	}
	full := make(change.Row, len(t.Target.Columns))
	for i, c := range t.Target.Key {
		full[c] = tk[i]
	}
	d.Key = t.Target.KeyString(full)
	switch {
	case source == nil && target == nil:
		return d, false, nil
	case target == nil:
		d.Kind = "missing"
	case source == nil:
		d.Kind = "extra"
	default:
		d.Kind = "differs"
		var a, b []byte
		for i, c := range t.Target.Columns {
			if a, err = canonical.AppendCanonical(a[:0], t.Target.Engine, c, source[i]); err != nil {
				return d, false, err
			}
			if b, err = canonical.AppendCanonical(b[:0], t.Target.Engine, c, target[i]); err != nil {
				return d, false, err
			}
			if string(a) != string(b) {
				d.Columns = append(d.Columns, c.Name)
			}
		}
		if len(d.Columns) == 0 {
			return d, false, nil
		}
	}
	return d, true, nil
}

func (v *Verifier) record(d Difference) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := d.Table + "\x00" + string(d.key)
	if _, known := v.diffs[id]; !known {
		v.cfg.Logger.Error("difference found", "table", d.Table, "key", d.Key, "kind", d.Kind, "columns", d.Columns)
	} else {
		d.Since = v.diffs[id].Since
	}
	v.diffs[id] = d
}

// forget drops a difference whose key has been compared equal.
func (v *Verifier) forget(table string, key []byte) {
	v.mu.Lock()
	delete(v.diffs, table+"\x00"+string(key))
	v.mu.Unlock()
}

// known lists the keys of a table's differences.
func (v *Verifier) known(table string) (keys [][]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, d := range v.diffs {
		if d.Table == table {
			keys = append(keys, d.key)
		}
	}
	return keys
}

// measured keeps the rate of the last comparisons, for the prediction of the pause.
func (v *Verifier) measured(keys int, took time.Duration) {
	if took <= 0 {
		return
	}
	r := float64(keys) / took.Seconds()
	v.mu.Lock()
	if v.rate == 0 {
		v.rate = r
	}
	v.rate = 0.7*v.rate + 0.3*r
	v.mu.Unlock()
}
