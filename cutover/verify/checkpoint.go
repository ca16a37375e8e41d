package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Checkpoint is what survives a restart. A failed or unfinished verification is part of it: it is never forgotten but by a comparison.
type Checkpoint struct {
	Seq   uint64 // the touched keys are complete up to here
	Keys  []byte
	State []byte // JSON
}

type savedState struct {
	LastClean   *time.Time            `json:"last_clean,omitempty"`
	Tables      map[string]TableState `json:"tables"`
	Differences []savedDifference     `json:"differences"`
}

type savedDifference struct {
	Difference
	RawKey []byte `json:"raw_key"`
}

// Restore reads the checkpoint. observeFrom is the sequence above which changes must be observed again; active is false when no
// verification has begun.
func (v *Verifier) Restore(ctx context.Context) (observeFrom uint64, active bool, err error) {
	c, ok, err := v.store.Load(ctx)
	if err != nil || !ok {
		return 0, false, err
	}
	var s savedState
	if err := json.Unmarshal(c.State, &s); err != nil {
		return 0, false, fmt.Errorf("read the verification state: %w", err)
	}
	if err := v.touched.restore(c.Seq, c.Keys); err != nil {
		return 0, false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for n, t := range s.Tables {
		if _, known := v.tables[n]; known {
			v.state.Tables[n] = t
		}
	}
	if s.LastClean != nil {
		v.lastClean = *s.LastClean
	}
	for _, d := range s.Differences {
		d.Difference.key = d.RawKey
		v.diffs[d.Table+"\x00"+string(d.RawKey)] = d.Difference
	}
	v.state.State = "rounds"
	return c.Seq, true, nil
}

// save writes the checkpoint. Only what it holds may be purged from the stream.
func (v *Verifier) save(ctx context.Context) error {
	v.saves.Lock() // an older one must not replace a newer
	defer v.saves.Unlock()
	s := savedState{Tables: map[string]TableState{}}
	now := v.State()
	s.LastClean = now.LastCleanAt
	for n, t := range now.Tables {
		s.Tables[n] = t
	}
	for _, d := range now.Differences {
		s.Differences = append(s.Differences, savedDifference{d, d.key})
	}
	state, err := json.Marshal(s)
	if err != nil {
		return err
	}
	var applied uint64 // what cascades have changed up to here is in the set: it is told of before it is committed
	if v.cfg.Applied != nil {
		applied = v.cfg.Applied()
	}
	seq, keys := v.touched.marshal()
	if err := v.store.Save(ctx, Checkpoint{Seq: seq, Keys: keys, State: state}); err != nil {
		return fmt.Errorf("save the touched keys: %w", err)
	}
	v.touched.markSaved(seq)
	v.forgotten.Store(applied)
	return nil
}
