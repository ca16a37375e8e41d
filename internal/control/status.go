package control

import "time"

// Status is the answer of `status --json`. Fields are only ever added.
type Status struct {
	Name       string         `json:"name"`
	State      string         `json:"state"` // pending running validating completed failed rolled_back
	Phase      *string        `json:"phase"` // snapshot catchup streaming ready cutover soak rollback
	Paused     bool           `json:"paused"`
	LagSeconds *float64       `json:"lag_seconds"` // null before streaming
	Snapshot   SnapshotStatus `json:"snapshot"`
	Tables     []TableStatus  `json:"tables"`
	Verify     VerifyStatus   `json:"verify"`
	Reverse    *ReverseStatus `json:"reverse"`
	Cutover    CutoverStatus  `json:"cutover"`
	Stream     StreamStatus   `json:"stream"`
	Held       []HeldTable    `json:"held"`
	Links      []LinkStatus   `json:"links"`
	Guards     []GuardStatus  `json:"guards"` // the newest decisions, oldest first
	Error      *string        `json:"error"`  // what stops it and what to do
	Version    string         `json:"version"`
	At         time.Time      `json:"at"`
}

// SnapshotStatus is the progress of the copy.
type SnapshotStatus struct {
	TablesDone    int      `json:"tables_done"`
	TablesTotal   int      `json:"tables_total"`
	RowsDone      int64    `json:"rows_done"`
	RowsEstimated int64    `json:"rows_estimated"`
	ETASeconds    *float64 `json:"eta_seconds"`
}

// TableStatus is one table of the migration.
type TableStatus struct {
	Source       string `json:"source"`
	Target       string `json:"target"`
	State        string `json:"state"` // copying, copied, strict
	RowsCopied   int64  `json:"rows_copied"`
	RowsEstimate int64  `json:"rows_estimated"`
	Inserted     int64  `json:"inserted"`
	Updated      int64  `json:"updated"`
	Deleted      int64  `json:"deleted"`
	RowsVerified int64  `json:"rows_verified"`
	Differences  int    `json:"differences"`
}

// VerifyStatus is the verification.
type VerifyStatus struct {
	State        string     `json:"state"`
	RowsVerified int64      `json:"rows_verified"`
	Differences  int        `json:"differences"`
	TouchedKeys  int        `json:"touched_keys"`
	LastCleanAt  *time.Time `json:"last_clean_at"`
}

// ReverseStatus is the reverse stream.
type ReverseStatus struct {
	// State: pending, until it runs; watching the target until the decision; starting and applying to the source from then on; failed; removing and
	// off once the soak is ended.
	State      string   `json:"state"`
	LagSeconds *float64 `json:"lag_seconds"`
	// Differences between target and source, and when a comparison found none, since the decision.
	Differences int        `json:"differences"`
	LastCleanAt *time.Time `json:"last_clean_at"`
}

// CutoverStatus is the newest attempt.
type CutoverStatus struct {
	Step             *string  `json:"step"`
	Epoch            int64    `json:"epoch"`
	PredictedPauseMS *float64 `json:"predicted_pause_ms"`
}

// StreamStatus is the room of the stream.
type StreamStatus struct {
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Applied  uint64 `json:"applied"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	Full     bool   `json:"full"`
	// RoomSeconds is how long the stream has room at the present rate while nothing is purged; null when it does not grow.
	RoomSeconds *float64 `json:"room_seconds"`
}

// HeldTable is a table whose changes wait because the target or the transform refused a row.
type HeldTable struct {
	Table   string `json:"table"`
	FromSeq uint64 `json:"from_seq"`
	Key     string `json:"key"`
	Reason  string `json:"reason"`
	Remedy  string `json:"remedy"`
}

// LinkStatus is a connection that is down at the moment and is being retried.
type LinkStatus struct {
	To    string    `json:"to"` // source, target, stream; finish: what is done once everything is copied
	Error string    `json:"error"`
	Since time.Time `json:"since"`
}

// GuardStatus is what a guard has decided.
type GuardStatus struct {
	Guard   string    `json:"guard"`   // its condition
	Value   string    `json:"value"`   // what was measured
	Decided string    `json:"decided"` // pause no_go abort hold rollback warn, or why there was no rollback
	At      time.Time `json:"at"`
	Stands  bool      `json:"stands"` // it is in force: a hold until resume, a pause and a no-go until the condition ends
}

// VerifyResult is the answer of `verify --json`.
type VerifyResult struct {
	RowsVerified int64              `json:"rows_verified"`
	Tables       []VerifiedTable    `json:"tables"`
	Differences  []VerifyDifference `json:"differences"`
	Repaired     int                `json:"repaired,omitempty"`
}

// VerifiedTable is one compared table.
type VerifiedTable struct {
	Source       string `json:"source"`
	Target       string `json:"target"`
	RowsVerified int64  `json:"rows_verified"`
	Digest       string `json:"digest"`
	Differences  int    `json:"differences"`
}

// VerifyDifference is one row that is not the same.
type VerifyDifference struct {
	Table   string   `json:"table"`
	Key     string   `json:"key"`
	Kind    string   `json:"kind"` // missing, extra, differs
	Columns []string `json:"columns,omitempty"`
}
