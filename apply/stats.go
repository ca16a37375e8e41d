package apply

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"
)

// Event is something an operator would like to hear of. Table is a source table, or empty.
type Event struct {
	Kind   EventKind
	Table  string
	Seq    uint64
	Detail string
}

// EventKind says what an Event is about.
type EventKind string

const (
	EventHeld        EventKind = "held"        // a table is held in a lane
	EventReleased    EventKind = "released"    // a held table goes on
	EventStrict      EventKind = "strict"      // a table became strict
	EventLenient     EventKind = "lenient"     // rows of a strict table are read again; it is not strict until the next strict frame
	EventConstraints EventKind = "constraints" // foreign keys are made
	EventMarker      EventKind = "marker"      // every lane has recorded a marker
	EventTrouble     EventKind = "trouble"     // the target cannot be reached or does not answer; tried again
	EventMended      EventKind = "mended"      // after the start and after trouble: the target answers in every lane
	EventRelaned     EventKind = "relaned"     // the number of lanes has changed
)

// Stats is what an Applier is doing.
type Stats struct {
	Running bool
	Paused  bool
	Error   string // why Run ended
	Token   int64
	// Dispatched is the last frame given to the lanes; Floor the last that nobody needs any more.
	Dispatched, Floor uint64
	Lanes             []LaneStats
	Held              []Held
	Tables            []Count // over all lanes, by source table
	// Copies says what the ledger holds of each table's copy, by source table. It is empty until Run has read the ledger.
	Copies map[string]Copy
}

// Copy is how far the copying of a table is in the target.
type Copy struct {
	Rows         int64
	Done, Strict bool
}

// LaneStats is one lane of Stats.
type LaneStats struct {
	Lane       int
	Seq        uint64 // its ledger
	SourceTime int64  // of the newest change in it
	Rows       uint64 // applied since the start of the process
	Rate       float64
	Error      string // what it waits for
}

type stats struct {
	mu         sync.Mutex
	running    bool
	err        error // why Run ended
	token      int64
	dispatched uint64
	lanes      []laneState
	held       map[heldKey]Held
	counts     map[string]*Count
	copies     map[string]Copy
	start      string   // what keeps the start from succeeding
	queues     []*queue // of the lanes that run
	changed    chan struct{}
}

type laneState struct {
	place   Place
	rows    uint64
	err     string
	rate    float64
	sampled time.Time
	sample  uint64
}

type heldKey struct {
	lane   int
	source string
}

func (s *stats) init() { s.changed = make(chan struct{}) }

func (s *stats) started(d *Durable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.err, s.token = true, nil, d.Token
	lanes := make([]laneState, len(d.Lanes))
	for i, l := range d.Lanes {
		if i < len(s.lanes) {
			lanes[i] = s.lanes[i]
		}
		lanes[i].place, lanes[i].err = Place{Seq: l.Seq, Sum: l.Sum, Time: l.SourceTime}, ""
	}
	s.lanes = lanes
	s.held = map[heldKey]Held{}
	for _, h := range d.Held {
		s.held[heldKey{h.Lane, h.Source}] = h
	}
	s.counts, s.copies = map[string]*Count{}, map[string]Copy{}
	for _, t := range d.Tables {
		s.counts[t.Source] = &Count{Source: t.Source}
		s.copies[t.Source] = Copy{Rows: t.RowsCopied, Done: t.Copied, Strict: t.Strict}
	}
	for i := range d.Counts {
		s.addLocked(&d.Counts[i])
	}
	s.wakeLocked()
}

func (s *stats) addLocked(c *Count) {
	t := s.counts[c.Source]
	if t == nil {
		t = &Count{Source: c.Source}
		s.counts[c.Source] = t
	}
	t.Copied += c.Copied
	t.Inserted += c.Inserted
	t.Updated += c.Updated
	t.Deleted += c.Deleted
	t.Missed += c.Missed
}

func (s *stats) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stats) stopped(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = ErrStopped
	}
	s.running, s.err = false, err
	s.wakeLocked()
}

// trouble notes what a lane, or everything, waits for. It reports whether now nothing waits.
func (s *stats) trouble(lane int, err error) (well bool) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if lane >= 0 && lane < len(s.lanes) {
		s.lanes[lane].err = text
	} else {
		s.start = text
	}
	return s.start == "" && !slices.ContainsFunc(s.lanes, func(l laneState) bool { return l.err != "" })
}

// committed takes what a transaction has done into the statistics and tells those who wait for it.
func (a *Applier) committed(tx *Tx) {
	s := &a.state
	var events []Event
	s.mu.Lock()
	for i := range s.lanes {
		if tx.Lane == AllLanes || tx.Lane == i {
			s.lanes[i].place = tx.To
		}
	}
	rows := uint64(0)
	for i := range tx.Steps {
		rows += uint64(tx.Steps[i].Len())
	}
	if n := max(tx.Lane, 0); n < len(s.lanes) {
		s.lanes[n].rows += rows
	}
	for i := range tx.Counts {
		s.addLocked(&tx.Counts[i])
	}
	for _, p := range tx.Progress {
		s.copies[p.Source] = Copy{Rows: p.Rows, Done: p.Done, Strict: s.copies[p.Source].Strict}
	}
	for _, c := range tx.States {
		copied := s.copies[c.Source]
		copied.Strict = c.Strict
		s.copies[c.Source] = copied
	}
	for _, h := range tx.Release {
		delete(s.held, heldKey{h.Lane, h.Source})
		events = append(events, Event{Kind: EventReleased, Table: h.Source, Seq: tx.To.Seq})
	}
	for _, h := range tx.Hold {
		s.held[heldKey{h.Lane, h.Source}] = h
		events = append(events, Event{Kind: EventHeld, Table: h.Source, Seq: h.From, Detail: h.Key + ": " + h.Reason})
	}
	s.wakeLocked()
	s.mu.Unlock()
	for _, e := range events {
		a.notify(e)
	}
}

func (a *Applier) notify(e Event) {
	if a.opts.Notify != nil {
		a.opts.Notify(e)
	}
}

// Stats returns what the applier is doing now.
func (a *Applier) Stats() Stats {
	floor := a.Floor()
	s := &a.state
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Running: s.running, Paused: a.gate.closed(), Token: s.token, Dispatched: s.dispatched, Floor: floor}
	switch {
	case s.err != nil && !errors.Is(s.err, ErrStopped):
		out.Error = s.err.Error()
	case s.start != "":
		out.Error = s.start
	}
	now := time.Now()
	for i := range s.lanes {
		l := &s.lanes[i]
		if d := now.Sub(l.sampled); d > time.Second {
			if !l.sampled.IsZero() {
				l.rate = float64(l.rows-l.sample) / d.Seconds()
			}
			l.sampled, l.sample = now, l.rows
		}
		out.Lanes = append(out.Lanes, LaneStats{Lane: i, Seq: l.place.Seq, SourceTime: l.place.Time, Rows: l.rows, Rate: l.rate, Error: l.err})
	}
	for _, h := range s.held {
		out.Held = append(out.Held, h)
	}
	sort.Slice(out.Held, func(i, j int) bool {
		a, b := &out.Held[i], &out.Held[j]
		if a.Source != b.Source {
			return a.Source < b.Source
		}
		return a.Lane < b.Lane
	})
	out.Copies = maps.Clone(s.copies)
	for _, c := range s.counts {
		out.Tables = append(out.Tables, *c)
	}
	sort.Slice(out.Tables, func(i, j int) bool { return out.Tables[i].Source < out.Tables[j].Source })
	return out
}

// Floor is the last frame that is needed neither by a lane, nor by a held table, nor above the checkpoint: it and all before it may be purged.
// It is 0 until Run has read the ledger.
func (a *Applier) Floor() uint64 {
	s := &a.state
	s.mu.Lock()
	floor, known := s.placeLocked()
	for _, h := range s.held {
		if h.From > 0 {
			floor = min(floor, h.From-1)
		}
	}
	s.mu.Unlock()
	if !known {
		return 0
	}
	if a.opts.Checkpoint != nil {
		floor = min(floor, a.opts.Checkpoint())
	}
	return floor
}

func (s *stats) placeLocked() (uint64, bool) {
	if len(s.lanes) == 0 {
		return 0, false
	}
	at := s.lanes[0].place.Seq
	for _, l := range s.lanes[1:] {
		at = min(at, l.place.Seq)
	}
	return at, true
}

// Applied is the last frame that every lane has committed.
func (a *Applier) Applied() uint64 {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	at, _ := a.state.placeLocked()
	return at
}

// AppliedOf is the last frame whose rows of a source table every lane has committed: a table that is held stands before its held frame.
func (a *Applier) AppliedOf(source string) uint64 {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	at, _ := a.state.placeLocked()
	for k, h := range a.state.held {
		if k.source == source && h.From > 0 {
			at = min(at, h.From-1)
		}
	}
	return at
}

// ErrStopped is why an applier goes no further that was told to stop.
var ErrStopped = errors.New("applying is stopped")

// Wait returns when every lane has committed frame seq; idle lanes do not wait for their time to move. When Run ends before that it returns why.
func (a *Applier) Wait(ctx context.Context, seq uint64) error {
	for {
		s := &a.state
		s.mu.Lock()
		at, _ := s.placeLocked()
		err, changed, queues := s.err, s.changed, s.queues
		s.mu.Unlock()
		if at >= seq {
			return nil
		}
		for _, q := range queues {
			q.want(seq)
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
