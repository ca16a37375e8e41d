package capture

import (
	"context"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Start is where capture goes on: what the stream and the target say, never memory.
type Start struct {
	Position string // behind the last frame that names one; empty: nothing was published
	Seq      uint64
	Time     int64
	Inside   bool                // the last frame ends, or may end, inside a source transaction
	Tables   map[string]Progress // by schema.table of the source
}

// Progress is how far the snapshot of one table has come.
type Progress struct {
	Next   []byte // [change.AppendKey] form of the last source key read; nil: nothing yet
	Rows   int64
	Done   bool // the last chunk is published
	Strict bool // the strict frame is published
}

// Frames reads the frames of the stream in order.
type Frames interface {
	Next(ctx context.Context) (change.Frame, error)
}

// Recover reads the frames above the ledger, up to and including last, and adds what they say to what the ledger of the target holds in
// tables. Frames below the ledger may be purged; frames above it never are, so nothing is missed between the two.
func Recover(ctx context.Context, tables map[string]Progress, frames Frames, from, last change.Frame) (Start, error) {
	s := Start{Tables: tables}
	if s.Tables == nil {
		s.Tables = map[string]Progress{}
	}
	if err := s.see(from); err != nil {
		return s, err
	}
	for s.Seq < last.Seq {
		f, err := frames.Next(ctx)
		if err != nil {
			return s, fmt.Errorf("read the stream to find the place where capture stopped: %w", err)
		}
		if err := s.see(f); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *Start) see(f change.Frame) error {
	s.Seq = max(s.Seq, f.Seq)
	s.Time = max(s.Time, f.Time)
	if len(f.Position) > 0 {
		s.Position = string(f.Position)
	}
	switch f.Kind {
	case 0: // no frame: the ledger is empty
		return nil
	case change.Changes:
		s.Inside = f.Flags&change.TxEnd == 0
		return nil
	case change.Part:
		s.Inside = true
		return nil
	case change.Chunk:
		return nil
	case change.Control:
	default:
		return fmt.Errorf("frame %d: unknown kind %s", f.Seq, f.Kind)
	}
	m, err := f.ReadControl()
	if err != nil {
		return err
	}
	t := s.Tables[m.Table]
	switch m.Type {
	case change.Progress:
		t.Next, t.Rows, t.Done = m.Next, m.Rows, m.Done
	case change.Strict:
		t.Strict = true
	case change.Heartbeat, change.Marker, change.Constraints:
		s.Inside = false
		return nil
	case change.Recopied:
		return nil
	default:
		return fmt.Errorf("frame %d: unknown control message %q", f.Seq, m.Type)
	}
	s.Tables[m.Table] = t
	return nil
}
