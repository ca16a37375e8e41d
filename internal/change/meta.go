package change

import (
	"encoding/json"
	"fmt"
)

// ControlType says what a control frame is about. Every one but Heartbeat and Progress is a barrier: all lanes stand on it before anything
// after it is applied.
type ControlType string

const (
	Heartbeat ControlType = "heartbeat" // moves the position only
	Marker    ControlType = "marker"    // a marker committed on the source: every lane records its epoch
	Progress  ControlType = "progress"  // snapshot progress of a table
	Cleared   ControlType = "cleared"   // what the target has of the table goes: all of it will be read
	Settled   ControlType = "settled"   // no read of the table has seen anything that is not in the stream before this frame
	Strict    ControlType = "strict"    // the table's changes from here on are strict
	Recopied  ControlType = "recopied"  // the rows of Keys are deleted and off the re-copy list; those that exist follow as a chunk
	// Constraints: every table is strict and the source transaction is complete: foreign keys can be validated.
	Constraints ControlType = "constraints"
)

// ControlMessage is the Meta of a [Control] frame.
type ControlMessage struct {
	Type ControlType `json:"type"`
	// Table is schema.table of the source table, for Progress, Cleared, Settled, Strict and Recopied.
	Table string `json:"table,omitempty"`
	// Shape is the target shape's [Table.ID] in force, for Strict.
	Shape uint64 `json:"shape,omitempty"`
	// Marker
	Epoch  int64  `json:"epoch,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Progress
	Next []byte `json:"next,omitempty"` // [AppendKey] form: everything up to and including this source key has been read
	Rows int64  `json:"rows,omitempty"` // rows read of the table so far
	Done bool   `json:"done,omitempty"` // the last chunk has been read
	// Keys: the re-copied target keys ([AppendKey] form), for Recopied
	Keys [][]byte `json:"keys,omitempty"`
}

// ChunkMeta is the Meta of a [Chunk] frame.
type ChunkMeta struct {
	Table string `json:"table"` // schema.table of the source table
	// Recopy marks rows that were read again for the re-copy list.
	Recopy bool `json:"recopy,omitempty"`
}

// ReadControl reads the control message of a frame.
func (f *Frame) ReadControl() (ControlMessage, error) {
	var m ControlMessage
	if f.Kind != Control {
		return m, fmt.Errorf("frame %d: control message in a %s frame", f.Seq, f.Kind)
	}
	if err := json.Unmarshal(f.Meta, &m); err != nil {
		return m, fmt.Errorf("frame %d: control message: %w", f.Seq, err)
	}
	switch m.Type {
	case Heartbeat, Marker, Progress, Cleared, Settled, Strict, Recopied, Constraints:
		return m, nil
	default:
		return m, fmt.Errorf("frame %d: unknown control message %q: run the version that wrote it", f.Seq, m.Type)
	}
}

// ReadChunkMeta reads the description of a chunk frame.
func (f *Frame) ReadChunkMeta() (ChunkMeta, error) {
	var m ChunkMeta
	if f.Kind != Chunk {
		return m, fmt.Errorf("frame %d: chunk description in a %s frame", f.Seq, f.Kind)
	}
	if err := json.Unmarshal(f.Meta, &m); err != nil {
		return m, fmt.Errorf("frame %d: chunk description: %w", f.Seq, err)
	}
	return m, nil
}

// NewControl returns an unsealed control frame that stands between two source transactions.
func NewControl(m ControlMessage, position string, time int64) ([]byte, error) {
	return NewControlAt(m, TxEnd, position, time)
}

// NewControlAt returns an unsealed control frame; flags say whether it stands between two source transactions.
func NewControlAt(m ControlMessage, flags Flags, position string, time int64) ([]byte, error) {
	meta, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("control message %s: %w", m.Type, err)
	}
	b := make([]byte, 0, headerSize+len(position)+len(meta))
	b = appendHeader(b, Control, flags, time, 0, len(position), len(meta))
	b = append(b, position...)
	return append(b, meta...), nil
}
