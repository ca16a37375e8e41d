package capture

import (
	"context"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Source is what capture needs of a source engine. Positions are opaque texts that only the engine reads.
type Source interface {
	// Position is the place after everything that is committed now.
	Position(ctx context.Context) (string, error)
	// Covers reports whether at is at or past p. A place inside a transaction lies before its commit position.
	Covers(at, p string) (bool, error)
	// Heartbeat commits a row of ours, so that an idle source moves past its present position.
	Heartbeat(ctx context.Context) error
	// Tail reads the log from a position. tables are the versions of the selected tables in force there.
	Tail(ctx context.Context, from string, tables []*catalog.Table) (Tail, error)

	// Bound returns the key of the n-th row after a key (nil: from the start), or last when fewer rows remain.
	Bound(ctx context.Context, t *catalog.Table, after change.Row, n int) (key change.Row, last bool, err error)
	// ReadRange reads the rows with after < key <= upTo (nil: open) in a snapshot that sees everything up to proof, or returns
	// ErrNotVisible. Rows are valid during emit.
	ReadRange(ctx context.Context, proof string, t *catalog.Table, after, upTo change.Row, emit func(change.Row) error) error
	// ReadKeys reads the rows with these keys, under the same rule. Keys without a row emit nothing.
	ReadKeys(ctx context.Context, proof string, t *catalog.Table, keys []change.Row, emit func(change.Row) error) error
}

// Log is the stream that frames are published to.
type Log interface {
	// Append publishes a frame after all others and owns it from then on. It returns when the frame is queued; it blocks while too much is in flight or the
	// stream is full.
	Append(ctx context.Context, frame []byte) (seq uint64, err error)
	Wait(ctx context.Context, seq uint64) error
	// InFlight is the number of frames that are not acknowledged.
	InFlight() int
	// Put keeps a small fact beside the frames, the last value of each key; Get reads it. It is durable when Put returns.
	Put(ctx context.Context, key string, data []byte) error
	Get(ctx context.Context, key string) (data []byte, ok bool, err error)
}

// Mapper turns source rows into target rows. One goroutine uses a mapper; what it returns is valid until its next call.
type Mapper interface {
	Map(src *change.Change) ([]change.Change, error)
}

// Ledger is what capture must know of the target: the wait of a table for strictness.
type Ledger interface {
	// Applied is the last frame whose rows of the table are in the target, whichever lane they go through; a table that is held stays where it is.
	Applied(ctx context.Context, sourceTable string) (uint64, error)
	// Recopy returns the source keys of the table's rows that must be read again.
	Recopy(ctx context.Context, sourceTable string) ([]Recopy, error)
}

// Recopy is one row to be read again: its key on the source, and on the target in the form of [change.AppendKey].
type Recopy struct {
	Source change.Row
	Target []byte
}
