package cutover

import (
	"context"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Table is one migrated table.
type Table struct {
	Source, Target Name
	// AutoIncrement is the source column whose numbers the server hands out, and Sequence the target column that goes on with them; empty: none.
	AutoIncrement, Sequence string
}

// Name of a table.
type Name struct{ Schema, Table string }

func (n Name) String() string { return n.Schema + "." + n.Table }

// Finding is a reason against a cutover, or a warning: the same JSON as a finding of `check`.
type Finding struct {
	Severity string `json:"severity"` // error: a no-go; warning
	Code     string `json:"code"`
	Object   string `json:"object"`
	Reason   string `json:"reason"`
	Remedy   string `json:"remedy"`
}

// View is what one database says about its side, read at one moment.
type View struct {
	protocol.DB
	Record   Record // of the newest attempt to leave this side
	Identity string // of the server that answered
}

// Record is the row of an attempt.
type Record struct {
	Instance              string
	SourceID, TargetID    string // identities noted when it was armed
	Deadline              time.Time
	Reason                string // why it is being aborted
	StartedAt, FinishedAt time.Time
}

// Past is an attempt with its row.
type Past struct {
	protocol.Attempt
	Record
}

// Call is a statement with what it carries.
type Call struct {
	Rule  protocol.Rule
	Epoch int64
	// Identity of the server that must execute it; empty: any.
	Identity string
	// Record is written by Arm.
	Record Record
	// Timeout is the time left until the deadline; Fence writes it, in the server's time.
	Timeout time.Duration
	// Reason is written by Quit and Yield.
	Reason string
	// Entries are written to this database's journal in the same transaction.
	Entries []Entry
	// Sequences are raised by Sequences.
	Sequences []Sequence
}

// Entry is a row of the journal. Key: migration, side being left, epoch, step, run.
type Entry struct {
	Epoch    int64
	Step     string
	Run      int
	Instance string
	IntentAt time.Time
	DoneAt   time.Time // zero: only the intent
	Outcome  string    // see Outcome constants; empty: only the intent
	Evidence []byte    // JSON
}

// Outcomes of an entry.
const (
	OutcomeDone    = "done"
	OutcomeFailed  = "failed"
	OutcomeDropped = "dropped" // unknown for ever; the operator chose to run the step again
)

// Counter is a sequence that no column owns, at both ends. Down: its numbers fall.
type Counter struct {
	Source, Target Name
	Down           bool
}

// Sequence is a number generator of the side entered.
type Sequence struct {
	Name  string `json:"name"`   // schema.sequence on the side entered
	Table string `json:"table"`  // schema.table on the side being left; of a free one schema.sequence there
	Last  uint64 `json:"last"`   // last number that the side being left has issued; 0: none
	Max   uint64 `json:"-"`      // largest number the generator can issue
	Now   uint64 `json:"-"`      // last number it has issued
	SetTo uint64 `json:"set_to"` // the number set; the next one issued is above it
	// Highest number of a row on the side entered, where it must be unique and rows do not move the generator themselves; else 0.
	Highest uint64 `json:"-"`
	// Free: no column owns it. Its values may be negative and fall (Down), and its numbers count them: see Number.
	Free  bool   `json:"free,omitempty"`
	Down  bool   `json:"down,omitempty"`
	Step  uint64 `json:"-"` // between two values; 0: 1
	Cycle bool   `json:"-"` // it begins anew at its end
}

// Side is one database of a migration.
type Side interface {
	// Setup makes the tables of schema crossfade that do not exist yet, with this side's gate open or closed.
	Setup(ctx context.Context, open bool) error
	// Identity of the server: it changes when another server answers under the same address.
	Identity(ctx context.Context) (string, error)
	Read(ctx context.Context) (View, error)
	// Beat commits a change that matters to nobody and says how long that took.
	Beat(ctx context.Context) (time.Duration, error)
	// Do runs one statement. False: it found another state than its rule asks for, and changed nothing. An error says that the outcome is
	// unknown, unless it wraps ErrBusy.
	Do(ctx context.Context, c Call) (bool, error)
	// Journal reads the entries of an attempt, all runs, oldest first; epoch 0: of the newest attempt in this journal.
	Journal(ctx context.Context, epoch int64) ([]Entry, error)
	// Record writes entries to the journal: an intent that stands there stays as it is, and an entry that is done stays done. False, and
	// nothing written: on the side being left the attempt does not live; on the side entered the gate is not open under the epoch.
	Record(ctx context.Context, epoch int64, entries []Entry) (bool, error)
	// Intend writes one intent under the conditions of Record and reports whether this call wrote it.
	Intend(ctx context.Context, e Entry) (bool, error)
	// Attempts lists the attempts to leave this side, newest first.
	Attempts(ctx context.Context) ([]Past, error)
	// Check proves what the cutover needs of this side, on scratch objects where it must be done to be known.
	Check(ctx context.Context) ([]Finding, error)
	// Fingerprint of the schema of the tables: another one means that somebody changed it.
	Fingerprint(ctx context.Context) (string, error)
	// Hold opens a transaction that has read every table, so that DDL waits until it is released.
	Hold(ctx context.Context) (Held, error)
	// Probe tries to write as the application. It never leaves a row behind.
	Probe(ctx context.Context) (Probe, error)
	// Privileges asks what the application's user may do on the tables.
	Privileges(ctx context.Context) (Privileges, error)
}

// Held is an open read of every table of a side.
type Held interface {
	// Alive says whether the transaction has been open without a break.
	Alive(ctx context.Context) error
	Release()
}

// Probe is what writes tried as the application met.
type Probe struct {
	As       string   `json:"as"` // the user; empty: not probed as application
	Tables   int      `json:"tables"`
	Refused  int      `json:"refused"`            // by our gate
	Denied   int      `json:"denied,omitempty"`   // by something else
	Accepted []string `json:"accepted,omitempty"` // tables that took the write
	Note     string   `json:"note,omitempty"`
	// Error is one of the errors that were not ours.
	Error string `json:"error,omitempty"`
}

// Leaver is what a side must do besides when it is being left.
type Leaver interface {
	Side
	// Install puts the gate triggers of an epoch on every table, one after the other, retrying each until ctx ends, and checks that all stand.
	Install(ctx context.Context, epoch int64) (Installed, error)
	// Installed fails unless every trigger of the epoch stands.
	Installed(ctx context.Context, epoch int64) error
	// Uninstall removes the gate triggers of this epoch and of earlier ones.
	Uninstall(ctx context.Context, epoch int64) error
	// PreparedTransactions lists transactions that are prepared and could still be committed.
	PreparedTransactions(ctx context.Context) ([]string, error)
	// Free ends the connections that keep the gate's row locked, so that it can be opened again; it returns how many.
	Free(ctx context.Context) (int, error)
	// Refused counts statements of others that the closed side has refused, from a beginning that is the server's; false: this server does not count them.
	Refused(ctx context.Context) (n uint64, counted bool, err error)
	// LastIssued reads the last number issued for every table that has a generator, and for every sequence that no column owns.
	LastIssued(ctx context.Context) (map[Name]uint64, error)
}

// Installed says what was installed.
type Installed struct {
	Tables   int      `json:"tables"`
	Triggers int      `json:"triggers"`
	Parents  []string `json:"parents,omitempty"` // tables outside the migration from which a foreign key cascades into it
	Retries  int      `json:"retries"`
}

// Enterer is what a side must do besides when it is entered.
type Enterer interface {
	Side
	// Guard puts the gate triggers on the tables; with the gate closed they refuse every write of the application. Again when tables were added.
	Guard(ctx context.Context) error
	// Lanes reads the newest marker in every lane's ledger. It fails when the ledger does not hold all lanes.
	Lanes(ctx context.Context) ([]Lane, error)
	// Generators lists the sequences of the side for the tables, and those that no column owns.
	Generators(ctx context.Context) ([]Sequence, error)
	// Analyze gathers the statistics that queries are planned by, where they are not fresh. A table of which it cannot is told; it fails when ctx ends.
	Analyze(ctx context.Context) (Analyzed, error)
}

// Analyzed is of how many tables statistics were gathered.
type Analyzed struct {
	Tables int           `json:"tables"`
	Fresh  int           `json:"fresh"` // of them they were there already
	Failed []NotAnalyzed `json:"failed,omitempty"`
}

// NotAnalyzed is a table of which statistics could not be gathered.
type NotAnalyzed struct {
	Table string `json:"table"`
	Why   string `json:"why"`
}

// Lane is the newest marker that a lane has committed.
type Lane struct {
	Lane   int   `json:"lane"`
	Marker int64 `json:"marker"`
}

// Stream is the forward stream and those who feed and apply it.
type Stream interface {
	// Readiness answers without waiting.
	Readiness(ctx context.Context) (StreamReadiness, error)
	// Round commits on the side left, and returns once that is in the ledger of every lane of the side entered. Readiness knows how long it took, also when it was
	// given up because ctx ended.
	Round(ctx context.Context) error
	// Halt stops this process's applier once the marker is applied; the ledger's token is revoked after it. Nothing relies on it.
	Halt(ctx context.Context) error
	// Resume starts an applier with a new token, if none runs. It returns once the applier has its token.
	Resume(ctx context.Context) error
}

// Reverse is the stream that leads from the side entered back to the side left. It reads the side entered from before the cutover on.
type Reverse interface {
	// Readiness answers without waiting: what stands against the cutover, or is to be known.
	Readiness(ctx context.Context) ([]Finding, error)
	// Secure waits until everything that the side entered has committed is in the stream, durably, and returns the place behind it: what comes later is the
	// application's. It fails when somebody else has written there. It must give up when ctx ends.
	Secure(ctx context.Context) (Place, error)
	// Pace waits as Secure does, and says how long that takes.
	Pace(ctx context.Context) (time.Duration, error)
}

// Place is a frame of a stream.
type Place struct {
	Stream string `json:"stream"`
	Seq    uint64 `json:"seq"`
	Sum    uint64 `json:"sum,string"`
}

// StreamReadiness is what the stream says before a cutover.
type StreamReadiness struct {
	Lag time.Duration
	// Findings of severity error are reasons against a cutover: still copying, held tables, DDL of the after phase not done, paused by a guard.
	Findings []Finding
	// Drain predicts how long a marker takes from the source's commit to every ledger, from so many rounds that were measured.
	Drain  time.Duration
	Rounds int
}

// Verifier compares both sides.
type Verifier interface {
	// Readiness answers without waiting.
	Readiness(ctx context.Context) (VerifyReadiness, error)
	// Recount counts the rows of the target and holds them against those kept since the last full pass. It takes as long as that takes, up to a bound
	// of its own, and belongs before the fence. A table that somebody else has written to is a finding of severity error.
	Recount(ctx context.Context) ([]Finding, error)
	// Touched compares, with the source fenced and the target drained, every key changed since it was last verified, and the kept counts.
	// It must give up when ctx ends.
	Touched(ctx context.Context) (Verification, error)
}

// VerifyReadiness is what the verification says before a cutover.
type VerifyReadiness struct {
	// Clean: a full pass since strict found no difference, and none is known now. Else Findings say why.
	Clean    bool
	CleanAt  time.Time
	Touched  int // keys changed since they were verified
	Findings []Finding
	// Predicted is how long Touched would take now.
	Predicted time.Duration
}

// Verification is the result under the fence.
type Verification struct {
	Tables      []TableResult `json:"tables"`
	Touched     int           `json:"touched"` // keys compared
	Differences []Difference  `json:"differences,omitempty"`
	Lossy       []Lossy       `json:"lossy,omitempty"`
}

// TableResult is one table of the report.
type TableResult struct {
	Source      string `json:"source"`
	Target      string `json:"target"`
	SourceRows  int64  `json:"source_rows"`
	TargetRows  int64  `json:"target_rows"`
	Digest      string `json:"digest"`
	Differences int    `json:"differences"`
	// VerifiedAt is when it was found equal, or not, under the fence. The digest is of the last full pass.
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
}

// Difference is one key of which the two sides differ.
type Difference struct {
	Table  string `json:"table"`
	Key    string `json:"key"`
	Column string `json:"column"` // empty: the row is missing on one side
	Source string `json:"source"`
	Target string `json:"target"`
}

// Switch moves traffic. Its steps are run in order after the decision.
type Switch interface {
	Name() string
	// Active asks where traffic goes now.
	Active(ctx context.Context, e SwitchEnv) (protocol.Side, error)
	// Run moves it. An error that wraps ErrUnknownOutcome says that it may still be moved later.
	Run(ctx context.Context, e SwitchEnv) error
}

// SwitchEnv is what a switch step is told.
type SwitchEnv struct {
	Migration string
	Epoch     int64
	Direction string // forward or reverse
	Active    protocol.Side
	ActiveURL string // without password
}
