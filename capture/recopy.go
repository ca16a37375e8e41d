package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Rows are read again in batches: the rows of one are published as one frame, and its keys as one message.
const (
	recopyRows  = 1000
	recopyBytes = 1 << 20
)

// recopy reads the listed rows again. It returns the sequence of the last frame of it.
//
// The frame before the rows deletes them on the target and takes them off the list there, so that a row that is gone stays gone. Whoever dies between the
// two would leave rows deleted: so the keys of the batch are noted beside the stream until its rows are durable in it, and the next start
// reads them again; see finishRecopy.
func (s *Snapshot) recopy(ctx context.Context, c *tableCopy, list []Recopy) (seq uint64, err error) {
	for most := recopyRows; len(list) > 0; {
		n := batchOf(list, most)
		last, err := s.recopyBatch(ctx, c, list[:n])
		switch {
		case err == nil:
			seq, list, most = last, list[n:], min(2*most, recopyRows)
		case errors.Is(err, errBatchTooLarge):
			most = n / 2
		case errors.Is(err, ErrNotVisible):
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return 0, err
			}
		default:
			return 0, err
		}
	}
	return seq, nil
}

// batchOf is how many of the first rows make a batch.
func batchOf(list []Recopy, most int) (n int) {
	for size := 0; n < len(list) && n < most; n++ {
		if size += len(list[n].Target); size > recopyBytes && n > 0 {
			break
		}
	}
	return n
}

var errBatchTooLarge = errors.New("the rows of the batch are more than one frame holds")

// recopyBatch reads and publishes some rows under one hold. All rows are read before anything is published, so that a read that fails leaves nothing
// behind.
func (s *Snapshot) recopyBatch(ctx context.Context, c *tableCopy, list []Recopy) (seq uint64, err error) {
	keys := make([]change.Row, len(list))
	m := change.ControlMessage{Type: change.Recopied, Table: c.table.String()}
	for i, r := range list {
		keys[i] = r.Source
		m.Keys = append(m.Keys, r.Target)
	}
	err = s.hold(ctx, func(proof string) error {
		w := s.newWriter(c.table, true)
		err := s.pub.source.ReadKeys(ctx, proof, c.table, keys, func(row change.Row) error {
			if err := w.add(ctx, row); err != nil {
				return err
			}
			if len(list) > 1 && w.builder.Size() > recopyBytes {
				return errBatchTooLarge
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.noteRecopy(ctx, c, list); err != nil {
			return err
		}
		if seq, err = s.pub.announce(ctx, m); err != nil {
			return err
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
		seq = max(seq, w.seq)
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := s.pub.log.Wait(ctx, seq); err != nil {
		return 0, err
	}
	return seq, s.noteRecopy(ctx, c, nil)
}

// notedRecopy is a row of the batch under way, as it is noted beside the stream.
type notedRecopy struct {
	Source []byte `json:"source"` // [change.AppendKey] form
	Target []byte `json:"target"`
}

func recopyKey(c *tableCopy) string { return "recopy." + c.table.String() }

func (s *Snapshot) noteRecopy(ctx context.Context, c *tableCopy, list []Recopy) error {
	noted := make([]notedRecopy, len(list))
	for i, r := range list {
		noted[i] = notedRecopy{Source: change.AppendKey(nil, identity(len(r.Source)), r.Source), Target: r.Target}
	}
	b, err := json.Marshal(noted)
	if err != nil {
		return err
	}
	if err := s.pub.log.Put(ctx, recopyKey(c), b); err != nil {
		return fmt.Errorf("note which rows of %s are read again: %w", c.table, err)
	}
	return nil
}

// finishRecopy reads the rows of a batch again that an earlier start may have left deleted.
func (s *Snapshot) finishRecopy(ctx context.Context, c *tableCopy) (seq uint64, err error) {
	b, ok, err := s.pub.log.Get(ctx, recopyKey(c))
	if err != nil || !ok {
		return 0, err
	}
	var noted []notedRecopy
	if err := json.Unmarshal(b, &noted); err != nil {
		return 0, fmt.Errorf("rows of %s that are read again: %w", c.table, err)
	}
	list := make([]Recopy, len(noted))
	for i, n := range noted {
		key, err := change.ReadKey(n.Source, len(c.table.Key))
		if err != nil {
			return 0, fmt.Errorf("rows of %s that are read again: %w", c.table, err)
		}
		list[i] = Recopy{Source: key.Clone(), Target: n.Target}
	}
	return s.recopy(ctx, c, list)
}
