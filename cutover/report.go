package cutover

import "time"
import "encoding/json"

// Verdicts of a report.
const (
	VerdictCompleted  = "completed"
	VerdictAborted    = "aborted"
	VerdictRolledBack = "rolled_back"
	VerdictNoGo       = "no_go"
	VerdictRunning    = "running" // not settled yet
)

// Report is the evidence of one attempt.
type Report struct {
	Verdict          string           `json:"verdict"`
	Migration        string           `json:"migration"`
	Direction        string           `json:"direction"` // forward; reverse: of a rollback
	Attempt          int64            `json:"attempt"`   // its epoch; 0: none was made
	Error            *string          `json:"error"`
	WritePauseMS     int64            `json:"write_pause_ms"`  // from the fence closing to the target open
	ClientPauseMS    int64            `json:"client_pause_ms"` // from the first effect a client could see to traffic moved
	PredictedPauseMS int64            `json:"predicted_pause_ms"`
	Steps            []ReportStep     `json:"steps"`
	Tables           []TableResult    `json:"tables"`
	Sequences        []ReportSequence `json:"sequences"`
	Guards           []Guard          `json:"guards"`
	Lossy            []Lossy          `json:"lossy"`
	Differences      []Difference     `json:"differences"`
	Reasons          []Finding        `json:"reasons"`
	Warnings         []Finding        `json:"warnings"`

	decided string // the verdict of one that was decided
}

// ReportStep is one step with its evidence.
type ReportStep struct {
	Name      string          `json:"name"`
	StartedAt time.Time       `json:"started_at"`
	TookMS    int64           `json:"took_ms"`
	Outcome   string          `json:"outcome"` // done, failed, unknown, or running
	Evidence  json.RawMessage `json:"evidence"`
}

// ReportSequence is a sequence that was raised.
type ReportSequence struct {
	Name  string      `json:"name"`
	SetTo json.Number `json:"set_to"`
}

// Guard is what a guard did during the attempt.
type Guard struct {
	When string `json:"when"`
	Did  string `json:"did"`
}

// Lossy is a rule of the mapping by which values are altered or dropped, and how many were at the last full pass.
type Lossy struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Rule   string `json:"rule"`
	Rows   int64  `json:"rows"`
}

// GoNoGo is what a cutover would meet now.
type GoNoGo struct {
	Go               bool      `json:"go"`
	Reasons          []Finding `json:"reasons"`
	Warnings         []Finding `json:"warnings"`
	LagMS            int64     `json:"lag_ms"`
	TouchedKeys      int       `json:"touched_keys"`
	PredictedPauseMS int64     `json:"predicted_pause_ms"`
	Predicted        Predicted `json:"predicted"`
}

// Predicted is the pause by its parts, in milliseconds.
type Predicted struct {
	Fence   int64 `json:"fence_ms"`
	Drain   int64 `json:"drain_ms"`
	Verify  int64 `json:"verify_ms"`
	Journal int64 `json:"journal_ms"` // the statements on both sides from the fence to the opening
}
