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

// Recover reads the frames above the ledger up to last, the last frame of the stream, and adds what they say to what the ledger of the target
// holds in tables. Frames at or below the ledger may be purged; frames above it never are, so nothing is missed between the two. Every
// frame carries a position, so the last one says where capture goes on.
func Recover(ctx context.Context, tables map[string]Progress, frames Frames, ledger uint64, last change.Frame) (Start, error) {
	s := Start{Tables: tables}
	if s.Tables == nil {
		s.Tables = map[string]Progress{}
	}
	for at := ledger; at < last.Seq; {
		f, err := frames.Next(ctx)
		if err != nil {
			return s, fmt.Errorf("read the stream to find the place where capture stopped: %w", err)
		}
		if err := s.see(f); err != nil {
			return s, err
		}
		at = f.Seq
	}
	s.Seq, s.Time, s.Position, s.Inside = last.Seq, last.Time, string(last.Position), last.Flags&change.TxEnd == 0
	if s.Position == "" {
		return s, fmt.Errorf("the last frame, %d, carries no position", last.Seq)
	}
	return s, nil
}

// see takes snapshot progress out of a frame.
func (s *Start) see(f change.Frame) error {
	if f.Kind != change.Control {
		return nil
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
	case change.Recopied:
		t.Strict = false
	case change.Heartbeat, change.Marker, change.Cleared, change.Settled, change.Constraints:
		return nil
	default:
		return fmt.Errorf("frame %d: unknown control message %q", f.Seq, m.Type)
	}
	s.Tables[m.Table] = t
	return nil
}
