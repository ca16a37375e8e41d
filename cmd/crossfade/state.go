package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/control"
)

// pendingStatus is the status before both ends and the stream are open.
func pendingStatus(cfg *configs.Config) control.Status {
	return control.Status{Name: cfg.Name, State: "pending", Tables: []control.TableStatus{}, Held: []control.HeldTable{}, Links: []control.LinkStatus{}, Guards: []control.GuardStatus{},
		Version: versionText(), At: time.Now().UTC()}
}

// Status is what status shows. It asks nobody but the stream, and does not wait for it long.
func (m *migration) Status(ctx context.Context) control.Status {
	s := pendingStatus(m.cfg)
	if err := m.failure(); err != nil {
		text := err.Error()
		s.Error = &text
	} else if left := m.unfinished.Load(); left != nil {
		s.Error = left
	}
	var stats apply.Stats
	var applied uint64
	if a := m.applying.now(); a != nil {
		stats, applied = a.Stats(), a.Applied()
	}
	s.Paused = m.applying.isPaused()
	m.tableStatus(&s, stats)
	m.streamStatus(ctx, &s, applied)
	s.Links = m.links.list()
	s.Held = heldStatus(stats.Held)
	s.Guards = m.guards.status()
	s.Reverse = m.reverseStatus()
	m.addTroubleOfReverse(&s)
	s.Verify = verifyStatus(m.verifier.State())
	c := m.machine.State()
	if b := m.machineBack.State(); b.Epoch > c.Epoch {
		c = b
	}
	s.Cutover.Epoch = c.Epoch
	if c.Step != "" {
		s.Cutover.Step = &c.Step
	}
	if c.PredictedPauseMS > 0 {
		ms := float64(c.PredictedPauseMS)
		s.Cutover.PredictedPauseMS = &ms
	}
	phase := m.phase(s, stats, applied)
	if phase != "" {
		s.Phase = &phase
	}
	switch {
	case m.over():
		s.State = "completed"
	case s.Error != nil:
		s.State = "failed"
	case m.progress.publisher.Load() == nil:
		s.State = "pending"
	case m.progress.checking.Load():
		s.State = "validating"
	case m.rolledBack():
		s.State = "rolled_back"
	default:
		s.State = "running"
	}
	if phase == "streaming" || phase == "ready" || phase == "cutover" {
		s.LagSeconds = m.lag(stats, applied)
	}
	return s
}

func (m *migration) phase(s control.Status, stats apply.Stats, applied uint64) string {
	switch {
	case m.finalized():
		return ""
	case m.over() && (m.attempting.Load() || m.unfinished.Load() != nil):
		return "rollback"
	case m.over():
		return "soak"
	case m.attempting.Load() || m.unfinished.Load() != nil:
		return "cutover"
	case m.progress.publisher.Load() == nil:
		return ""
	case s.Snapshot.TablesDone < s.Snapshot.TablesTotal:
		return "snapshot"
	case !m.progress.finished.Load():
		return "catchup"
	case m.progress.validated.Load() && m.verifier.State().Clean && m.watching() && !m.applying.idle(): // after a rollback that is of before it
		return "ready"
	default:
		return "streaming"
	}
}

func heldStatus(held []apply.Held) []control.HeldTable {
	out := make([]control.HeldTable, 0, len(held))
	for _, h := range held {
		out = append(out, control.HeldTable{Table: h.Source, FromSeq: h.From, Key: h.Key, Reason: h.Reason, Remedy: h.Remedy})
	}
	return out
}

func verifyStatus(v verify.State) control.VerifyStatus {
	s := control.VerifyStatus{State: v.State, RowsVerified: v.RowsVerified, Differences: len(v.Differences), TouchedKeys: v.TouchedKeys, LastCleanAt: v.LastCleanAt}
	if s.RowsVerified == 0 { // the pass was that of an earlier start
		for _, t := range v.Tables {
			s.RowsVerified += t.Rows
		}
	}
	if s.State == "" {
		s.State = "idle"
	}
	return s
}

func tableState(copied, strict bool) string {
	switch {
	case strict:
		return "strict"
	case copied:
		return "copied"
	default:
		return "copying"
	}
}

// lag is how far the target is behind the source; null when nothing is known. When the newest change applied is an old one, for the source was idle, what
// counts is since when more is known to be there: since the target was last level.
func (f *flow) lag(stats apply.Stats, applied uint64) *float64 {
	p := f.progress.publisher.Load()
	if p == nil {
		return nil
	}
	published, heard, now := p.Published(), p.Heard(), time.Now()
	since := int64(0)
	switch {
	case applied < published.Seq:
		for i, l := range stats.Lanes {
			if i == 0 || l.SourceTime < since {
				since = l.SourceTime
			}
		}
		since = max(since, f.progress.level.Load())
	case now.Sub(heard) > 2*time.Second: // all that was heard is applied; the silence counts
		since = heard.UnixMicro()
	default:
		f.progress.level.Store(now.UnixMicro())
		return new(float64)
	}
	if since == 0 {
		return nil
	}
	lag := max(0, now.Sub(time.UnixMicro(since)).Seconds())
	return &lag
}

// look keeps in mind when the target was level with the source.
func (f *flow) look() {
	if a := f.applying.now(); a != nil && f.progress.finished.Load() {
		f.lag(a.Stats(), a.Applied())
	}
}

func (m *migration) tableStatus(s *control.Status, stats apply.Stats) {
	counts := map[string]apply.Count{}
	for _, c := range stats.Tables {
		counts[c.Source] = c
	}
	copies := m.copies(stats)
	verified := m.verifier.State()
	differ := map[string]int{}
	for _, d := range verified.Differences {
		differ[d.Table]++
	}
	for _, t := range m.plan.Tables() {
		name := t.Source.String()
		p, c := copies[name], counts[name]
		row := control.TableStatus{Source: name, Target: t.Target.String(), State: tableState(p.Done, p.Strict), RowsCopied: p.Rows, RowsEstimate: t.Source.RowsEstimate,
			Inserted: c.Inserted, Updated: c.Updated, Deleted: c.Deleted, RowsVerified: verified.Tables[name].Rows, Differences: differ[name]}
		if p.Done {
			row.RowsEstimate = p.Rows
			s.Snapshot.TablesDone++
		}
		s.Snapshot.TablesTotal++
		s.Snapshot.RowsDone += p.Rows
		s.Snapshot.RowsEstimated += max(row.RowsEstimate, p.Rows)
		s.Tables = append(s.Tables, row)
	}
	if s.Snapshot.TablesDone < s.Snapshot.TablesTotal {
		s.Snapshot.ETASeconds = m.progress.meter.eta(s.Snapshot.RowsDone, s.Snapshot.RowsEstimated, time.Now())
	}
}

// copies is what the target has of each table's copy, not what was published. Until an applier has read the ledger it is what capture began with.
func (m *migration) copies(stats apply.Stats) map[string]apply.Copy {
	snapshot := m.progress.snapshot.Load()
	if len(stats.Copies) > 0 || snapshot == nil {
		return stats.Copies
	}
	out := map[string]apply.Copy{}
	for name, p := range snapshot.Progress() {
		out[name] = apply.Copy{Rows: p.Rows, Done: p.Done, Strict: p.Strict}
	}
	return out
}

func (m *migration) streamStatus(ctx context.Context, s *control.Status, applied uint64) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	st, err := m.stream.Stats(ctx)
	if err != nil {
		m.links.down("stream", err)
		return
	}
	s.Stream = control.StreamStatus{First: st.First, Last: st.Last, Applied: applied, Bytes: st.Bytes, MaxBytes: st.MaxBytes, Full: st.Full}
	s.Stream.RoomSeconds = m.progress.room.eta(st.Bytes, st.MaxBytes, time.Now())
	if st.Blocked != "" && !st.Full {
		m.links.down("stream", errors.New(st.Blocked))
	} else {
		m.links.up("stream")
	}
}

// meter measures the speed of something that grows, over the last seconds.
type meter struct {
	mu      sync.Mutex
	at      time.Time
	n       int64
	perSec  float64
	samples int
}

// eta is how long n takes to reach total; nil when it does not grow.
func (m *meter) eta(n, total int64, now time.Time) *float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() {
		m.at, m.n = now, n
		return nil
	}
	if d := now.Sub(m.at).Seconds(); d >= 1 {
		rate := float64(n-m.n) / d
		if m.samples == 0 {
			m.perSec = rate
		}
		m.perSec = 0.7*m.perSec + 0.3*rate
		m.at, m.n = now, n
		m.samples++
	}
	if m.perSec <= 0 {
		return nil
	}
	left := max(0, float64(total-n)/m.perSec)
	return &left
}

func (a *applying) isPaused() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.paused
}

func heldTables(held []apply.Held) []string {
	var out []string
	for _, h := range held {
		if len(out) == 0 || out[len(out)-1] != h.Source { // sorted by table
			out = append(out, h.Source)
		}
	}
	return out
}
