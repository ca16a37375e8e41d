package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// EventKind says what a [Tail] returned.
type EventKind uint8

const (
	Row         EventKind = iota + 1 // a row of a selected table changed
	Commit                           // a source transaction ended, with or without rows of selected tables
	Truncate                         // a selected table was emptied
	MarkerEvent                      // a row was put into crossfade's marker table on the source
	Alive                            // the source said that nothing has happened
)

func (k EventKind) String() string {
	switch k {
	case Row:
		return "row"
	case Commit:
		return "commit"
	case Truncate:
		return "truncate"
	case MarkerEvent:
		return "marker"
	case Alive:
		return "alive"
	default:
		return fmt.Sprintf("event(%d)", uint8(k))
	}
}

// Event is one thing that happened on the source, in the order of its log.
type Event struct {
	Kind EventKind
	// Change is set for Row and Truncate: in the shape of the table's version in force. It is valid until the next call of Next.
	Change change.Change
	// Marker is set for MarkerEvent, and Before is the place before it.
	Marker Marker
	Before string
	// Time is when the transaction was committed, by the clock of the source, in microseconds since 1970; 0 for Alive.
	Time int64
}

// Marker is a row of crossfade's marker table: proof, once it is in the ledger, that everything committed before it is there too.
type Marker struct {
	Migration string
	Side      string
	Epoch     int64
	Kind      string
}

// Tail reads the source's log. It is used by one goroutine.
//
// Next blocks until there is an event. When ctx ends it returns its error and nothing is lost: the next call goes on. A [*Stop] says that
// somebody must act before the log can be read further; any other error is one of transport, and a new tail from Place goes on.
type Tail interface {
	Next(ctx context.Context) (*Event, error)
	// Place is where a new tail goes on after the last event returned, also inside a transaction.
	Place() string
	// Release says that everything up to a position is durable in the stream: the source may forget it.
	Release(position string)
	Close() error
}

// Stop is the error of a source that cannot be followed further without a decision: what it says would have to be guessed. Nothing is
// skipped; the place stays before it.
type Stop struct {
	Position string
	Object   string // the table, statement or server it is about
	Reason   string
	Remedy   string
}

func (s *Stop) Error() string {
	if s.Object == "" {
		return fmt.Sprintf("source stopped: %s; %s", s.Reason, s.Remedy)
	}
	return fmt.Sprintf("source stopped at %s: %s; %s", s.Object, s.Reason, s.Remedy)
}

// ErrNotVisible is returned by a read whose snapshot could not be proven to see everything that is published. It may be tried again.
var ErrNotVisible = errors.New("the source does not yet show everything that has been read from its log")
