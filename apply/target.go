package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Target is a database that receives rows. apply/postgres implements it.
type Target interface {
	// Start takes a new token for every ledger row of the migration, so that no earlier applier can commit, and returns what is durable. Rows
	// that do not exist are made, lanes of them. It is refused with [ErrOpen] unless the side's gate, if it has one, is closed and no attempt to leave the side lives.
	Start(ctx context.Context, lanes int) (*Durable, error)
	// Session opens a connection for one lane, or for the dispatcher.
	Session(ctx context.Context) (Session, error)
	// Relane replaces the ledger rows by lanes new ones. It is refused unless all stand on one frame and carry the token.
	Relane(ctx context.Context, token int64, lanes int) error
}

// Session is one connection of a target. It is used by one goroutine at a time.
type Session interface {
	// Apply runs tx as one transaction. Its errors: [ErrMoved], *[Refusal], *[Mismatch], *[LostError]; anything else is final. After
	// any error nothing was committed, except that after a LostError the ledger has to be asked.
	Apply(ctx context.Context, tx *Tx) error
	// Exec runs a statement of its own, for the unique indexes of a table that becomes strict.
	Exec(ctx context.Context, sql string) error
	// Ledger reads all ledger rows of the migration, by lane.
	Ledger(ctx context.Context) ([]LaneRow, error)
	// RecopyPending counts the keys of a table that wait to be read again.
	RecopyPending(ctx context.Context, source string) (int64, error)
	// Broken reports that the session can only be closed.
	Broken() bool
	Close()
}

// Durable is what a target knows about a migration.
type Durable struct {
	Token  int64
	Lanes  []LaneRow
	Tables []TableRow
	Held   []Held
	Counts []Count
	// Cascaded are the rows that cascades have changed and that are not forgotten.
	Cascaded []Cascaded
}

// LaneRow is one row of the ledger.
type LaneRow struct {
	Lane, Lanes int
	Stream      string // empty until the first frame
	Seq, Sum    uint64
	Token       int64
	Counter     int64
	MarkerEpoch int64
	SourceTime  int64 // microseconds since 1970
}

// TableRow is the durable state of one table.
type TableRow struct {
	Source, Target string
	Shape          uint64
	Strict         bool
	OneLane        bool
	Settled        bool
	StrictSeq      uint64 // the barrier at which it first became strict; 0: not yet
	Next           []byte // source key up to which the snapshot has read
	NextSeq        uint64
	RowsCopied     int64
	Copied         bool
}

// Held says that a lane applies nothing of a table from a frame on.
type Held struct {
	Lane   int
	Source string
	From   uint64
	Key    string
	Reason string
	Remedy string
	Since  time.Time
}

// Count is how many row changes of a table a lane has applied. From strict on, inserted minus deleted is the change of its row count.
type Count struct {
	Lane                               int
	Source                             string
	Copied, Inserted, Updated, Deleted int64
	// Missed counts updates and deletes of rows that a filtered table does not have.
	Missed int64
}

// RecopyKey is a target key, in the form of [change.AppendKey], whose row has to be read again.
type RecopyKey struct {
	Source string
	Key    []byte
	Seq    uint64
}

// Progress is snapshot progress, as a progress frame carries it.
type Progress struct {
	Source string
	Next   []byte
	Seq    uint64
	Rows   int64
	Done   bool
}

// StateChange makes a table strict or takes that back.
type StateChange struct {
	Source  string
	Strict  bool
	OneLane bool
	// Settled: the table is not strict, but no row of it is newer than the stream; only for tables that cascades change.
	Settled bool
	Shape   uint64
	Seq     uint64
}

// Place is a frame that a ledger stands on.
type Place struct {
	Seq, Sum uint64
	Time     int64
}

// AllLanes as a transaction's lane moves every ledger row.
const AllLanes = -1

// Tx is one target transaction.
type Tx struct {
	Token int64
	Lane  int // or AllLanes
	Lanes int // ledger rows in all
	From  uint64
	To    Place
	// Stream is the stream's id, as the ledger keeps it.
	Stream string
	// Counter, when not 0, is what the counter of the first ledger row must be: for a transaction that does not move the ledger, so that it
	// cannot run twice.
	Counter int64
	Epoch   int64 // of a marker; 0 leaves the epoch as it is
	// Single: every row is a statement of its own, so that an error names its row.
	Single bool
	Steps  []Step
	// Counts are added to the target's; steps add what they changed by Tally before that.
	Counts   []Count
	Recopy   []RecopyKey
	Recopied []RecopyKey
	// Cascaded are the rows that cascades have changed: the session finds them. It notes them with the ledger, tells Touched before it commits, and forgets
	// the noted ones up to Forget.
	Cascaded []Cascaded
	Touched  func([]Cascaded)
	Forget   uint64
	Hold     []Held // inserted, or moved to another From
	Release  []Held // removed
	Progress []Progress
	States   []StateChange
}

// StepOp is what a step does.
type StepOp uint8

const (
	InsertRows  StepOp = iota + 1 // a key that exists is a refusal with Duplicate
	PutRows                       // insert or overwrite; absent columns get their default
	CopyRows                      // as PutRows, most likely without a row that exists
	UpdateRows                    // the columns present in Rows, of the rows named by Keys
	DeleteRows                    // the rows named by Keys
	RekeyRows                     // as UpdateRows, the key too
	EmptyTable                    // every row
	CascadeRows                   // what foreign keys do when the rows of Keys go, or get the keys of Rows: see [Step.Follow]
	stepOps
)

var stepNames = [stepOps]string{"", "insert", "put", "copy", "update", "delete", "change of key", "truncate", "cascade"}

func (o StepOp) String() string {
	if o > 0 && o < stepOps {
		return stepNames[o]
	}
	return fmt.Sprintf("step(%d)", uint8(o))
}

// Tally says which count a step's changed rows are added to.
type Tally uint8

const (
	NoTally Tally = iota
	TallyInserted
	TallyUpdated // rows that were not there are counted as missed
	TallyDeleted // likewise
	TallyCleared // deleted to make room for the row that follows
)

// Step is rows of one shape to which the same happens. All Rows of a step carry the same columns.
type Step struct {
	Shape *change.Table
	Op    StepOp
	Keys  []change.Row // rows in which the old keys stand; for UpdateRows, DeleteRows and RekeyRows
	Rows  []change.Row
	// Exact: the step changes as many rows as it names, or the transaction fails with a Mismatch.
	Exact bool
	// Ordered: the rows depend on each other's order. They are run one by one.
	Ordered bool
	window  int32    // steps of one window may change places
	Cascade *Cascade // of CascadeRows
	Tally   Tally
	Count   int // index in Tx.Counts
}

// Len is the number of rows that the step names.
func (s *Step) Len() int { return max(len(s.Keys), len(s.Rows)) }

// KeyString names a row of the step for people.
func (s *Step) KeyString(i int) string {
	switch {
	case i < 0:
		return ""
	case i < len(s.Keys):
		return s.Shape.KeyString(s.Keys[i])
	case i < len(s.Rows):
		return s.Shape.KeyString(s.Rows[i])
	}
	return ""
}

// ErrRevoked stops an applier whose token is no longer in the ledger: another one has started, or a cutover has ended its work.
var ErrRevoked = errors.New("the applier's token was revoked: another applier or a cutover has taken over this migration")

// ErrOpen refuses an applier on a side that takes the application's writes, or is being left: it would keep a token that is good when the side is open.
var ErrOpen = errors.New("this side is open for the application, or is being left: nothing is applied to it")

// ErrMoved says that the ledger row was not found with the token and sequence of the transaction.
var ErrMoved = errors.New("the ledger has moved")

// Refusal is a row that the target does not take.
type Refusal struct {
	Step int
	Row  int // in the step; -1: one of them
	// Duplicate: the row's own key exists already. In a strict table that is a violation and not the row's fault.
	Duplicate bool
	Unique    bool   // a unique index has the row's value already; the key's, when Duplicate
	Code      string // SQLSTATE or a name of our own
	Reason    string
}

func (e *Refusal) Error() string { return "row refused: " + e.Reason }

// Mismatch is an exact step that changed another number of rows.
type Mismatch struct {
	Step      int
	Row       int // in the step; -1: one of them
	Want, Got int64
}

func (e *Mismatch) Error() string { return fmt.Sprintf("%d rows changed instead of %d", e.Got, e.Want) }

// LostError is a failure that trying again may cure: a lost connection, a lock, a server that restarts. Whether the transaction
// was committed is not known.
type LostError struct{ Err error }

func (e *LostError) Error() string { return e.Err.Error() }
func (e *LostError) Unwrap() error { return e.Err }

// Violation is a strict table that does not hold what it must: a change was lost or doubled, or somebody else writes to the target.
type Violation struct {
	Source, Target string
	Key            string
	Op             string
	Seq            uint64
	Reason         string
}

func (e *Violation) Error() string {
	return fmt.Sprintf("frame %d: %s of %s %s: %s: the target no longer equals the source; find who writes to %s besides crossfade, then repair the table with verify --repair",
		e.Seq, e.Op, e.Source, e.Key, e.Reason, e.Target)
}
