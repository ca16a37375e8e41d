package cutover

import (
	"encoding/json"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

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
	Verdict   string  `json:"verdict"`
	Migration string  `json:"migration"`
	Direction string  `json:"direction"` // forward; reverse: of a rollback
	Attempt   int64   `json:"attempt"`   // its epoch; 0: none was made
	Error     *string `json:"error"`
	Pauses
	Steps []ReportStep `json:"steps"`
	Compared
	Guards []Guard `json:"guards"`
	// RefusedWrites are statements that the side left has refused since its fence closed, as long as it stays closed; null where its server does not count them.
	RefusedWrites *uint64 `json:"refused_writes"`
	Findings
	Samples []Sample `json:"samples"`

	decided string // the verdict of one that was decided
}

// Pauses of an attempt, beside those that its go/no-go predicted.
type Pauses struct {
	WritePauseMS           int64            `json:"write_pause_ms"`  // from the fence closing to the target open
	ClientPauseMS          int64            `json:"client_pause_ms"` // from the first effect a client could see to traffic moved
	PredictedPauseMS       int64            `json:"predicted_pause_ms"`
	PredictedClientPauseMS int64            `json:"predicted_client_pause_ms"`
	PredictionError        *PredictionError `json:"prediction_error"` // of an attempt that was decided
}

// PredictionError is by how much the pauses were longer than predicted; negative: shorter.
type PredictionError struct {
	WriteMS       int64 `json:"write_ms"`
	WritePercent  int64 `json:"write_percent"` // of what was predicted
	ClientMS      int64 `json:"client_ms"`
	ClientPercent int64 `json:"client_percent"`
}

// missed is the error of the prediction, once traffic is moved.
func (p *Pauses) missed() *PredictionError {
	if p.PredictedPauseMS == 0 || p.PredictedClientPauseMS == 0 {
		return nil
	}
	e := PredictionError{WriteMS: p.WritePauseMS - p.PredictedPauseMS, ClientMS: p.ClientPauseMS - p.PredictedClientPauseMS}
	e.WritePercent, e.ClientPercent = 100*e.WriteMS/p.PredictedPauseMS, 100*e.ClientMS/p.PredictedClientPauseMS
	return &e
}

// Compared is what was found equal, or not, and what was altered on the way.
type Compared struct {
	Tables      []TableResult    `json:"tables"`
	Sequences   []ReportSequence `json:"sequences"`
	Lossy       []Lossy          `json:"lossy"`
	Differences []Difference     `json:"differences"`
}

// Findings of the go/no-go.
type Findings struct {
	Reasons  []Finding `json:"reasons"`
	Warnings []Finding `json:"warnings"`
}

// Sample is what went through the migration at a moment around the attempt.
type Sample struct {
	At           time.Time `json:"at"`
	LagSeconds   *float64  `json:"lag_seconds"` // null: nothing was applied
	CapturedPerS float64   `json:"captured_per_s"`
	AppliedPerS  float64   `json:"applied_per_s"`
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

// Guard is what a guard decided in the attempt, or in the soak that it began.
type Guard struct {
	Guard   string    `json:"guard"`   // its condition
	Value   string    `json:"value"`   // what was measured
	Decided string    `json:"decided"` // and what followed
	At      time.Time `json:"at"`
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
	// PredictedClientPauseMS includes poolers and switch steps.
	PredictedClientPauseMS int64     `json:"predicted_client_pause_ms"`
	Predicted              Predicted `json:"predicted"`
}

const (
	around      = time.Minute     // before the pause
	aroundAfter = 5 * time.Second // after traffic was moved
)

// Around is the time of which samples belong to the report: from a minute before clients could see anything to some seconds after traffic was moved. Without a pause
// it lies before all samples.
func (r *Report) Around() (from, to time.Time) {
	from, to, _ = r.Pause()
	if routed, ok := r.step(protocol.Routed); ok && routed.end().After(to) && routed.end().Before(to.Add(around)) {
		to = routed.end()
	}
	return from.Add(-around), to.Add(aroundAfter)
}

// Pause is the time in which writes were held back: from the first thing that clients could see of it to the opening of a side. Without a fence there is none.
func (r *Report) Pause() (from, to time.Time, ok bool) {
	fenced, ok := r.step(protocol.StepFenced)
	if !ok {
		return from, to, false
	}
	from = fenced.StartedAt
	var held pausedEvidence
	if paused, ok := r.step(protocol.Paused); ok && json.Unmarshal(paused.Evidence, &held) == nil && held.Poolers > 0 {
		from = paused.StartedAt
	}
	to = fenced.end()
	for _, opened := range []protocol.Step{protocol.StepDecide, protocol.Undo} {
		if s, ok := r.step(opened); ok {
			return from, s.end(), true
		}
	}
	return from, to, true
}

// step finds a step that has begun.
func (r *Report) step(name protocol.Step) (ReportStep, bool) {
	for _, s := range r.Steps {
		if s.Name == string(name) {
			return s, true
		}
	}
	return ReportStep{}, false
}

func (s *ReportStep) end() time.Time {
	return s.StartedAt.Add(time.Duration(s.TookMS) * time.Millisecond)
}
