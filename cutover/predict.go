package cutover

import (
	"context"
	"fmt"
	"time"
)

// Predicted is the pause by its parts, in milliseconds.
type Predicted struct {
	Fence   int64 `json:"fence_ms"`
	Drain   int64 `json:"drain_ms"`
	Verify  int64 `json:"verify_ms"`
	Prove   int64 `json:"prove_ms"`   // probes, prepared transactions, sequences and schemas
	Reverse int64 `json:"reverse_ms"` // the place where the way back begins
	Journal int64 `json:"journal_ms"` // the statements on both sides from the fence to the opening
	Poolers int64 `json:"poolers_ms"` // clients wait before the fence
	Route   int64 `json:"route_ms"`   // and after the opening
	Rounds  int   `json:"rounds"`     // of the stream, of which the drain is known
}

func (p Predicted) write() int64 {
	return p.Fence + p.Drain + p.Verify + p.Prove + p.Reverse + p.Journal
}

func (p Predicted) client() int64 { return p.Poolers + p.write() + p.Route }

// stopwatch adds up how long work takes that is done so many times in the pause.
type stopwatch struct{ sum time.Duration }

func (s *stopwatch) time(times int, work func()) {
	began := time.Now()
	work()
	s.sum += time.Duration(times) * time.Since(began)
}

const (
	// fenceCost is what closing the gate takes under load besides its commit: 7 to 47 ms were measured.
	fenceCost = 50 * time.Millisecond
	// freshRounds are taken by the go/no-go, beside those that are known.
	freshRounds = 3
)

// takeRounds measures rounds of the stream as it is now. What goes wrong with one is the stream's to say; one that lasts too long is a part of the prediction.
func (m *Machine) takeRounds(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.MaxPause)
	defer cancel()
	for range freshRounds {
		if err := m.stream.Round(ctx); err != nil {
			m.log.Info("cutover: a round of the stream was not measured", "migration", m.cfg.Migration, "error", err)
			return
		}
	}
}

// predict adds up the pauses, and says no where that cannot be done or the sum is too high.
func (m *Machine) predict(ctx context.Context, c *checked) []Finding {
	p := &c.Predicted
	// From the fence to the opening the side left commits the fence, two journal writes and Begin; the side entered the sequences, the revocation and the opening.
	var journal, fence, commit time.Duration
	for i, s := range []Side{m.leaving, m.entering} {
		for range 3 {
			took, err := s.Beat(ctx)
			if err != nil {
				return []Finding{problem("predict", m.cfg.Migration, fmt.Sprintf("measure a commit: %v", err), "see the error")}
			}
			journal, commit = journal+took, took
			if i == 0 {
				fence = max(fence, took)
			}
		}
	}
	if m.cfg.Reverse != nil && len(c.Reasons) == 0 { // else it may not be there
		bounded, cancel := context.WithTimeoutCause(ctx, m.cfg.MaxPause, fmt.Errorf("its end was not reached within %v", m.cfg.MaxPause))
		back, err := m.cfg.Reverse.Pace(bounded)
		cancel()
		if err != nil {
			return []Finding{problem("predict", m.cfg.Migration, fmt.Sprintf("measure the way back: %v", err), "see the error")}
		}
		p.Reverse = back.Milliseconds()
	}
	p.Fence, p.Journal = (fenceCost + fence).Milliseconds(), journal.Milliseconds()
	p.Prove = c.proofs.sum.Milliseconds()
	poolers, route := m.predictSwitch(c.asked, commit)
	p.Poolers, p.Route = poolers.Milliseconds(), route.Milliseconds()
	c.PredictedPauseMS, c.PredictedClientPauseMS = p.write(), p.client()
	limit := m.cfg.MaxPause.Milliseconds()
	switch {
	case c.PredictedPauseMS > limit:
		return []Finding{problem("pause", m.cfg.Migration, fmt.Sprintf("the predicted pause is %d ms (%s), cutover.max_pause is %d ms", c.PredictedPauseMS, p, limit), "wait for a quieter time, or raise cutover.max_pause")}
	case p.Rounds == 0 && len(c.Reasons) == 0:
		return []Finding{problem("pause", m.cfg.Migration, "the pause cannot be predicted: no change of ours has come from the one side to the other yet", "try again in a moment; `crossfade status` shows what is amiss")}
	}
	return nil
}

// String names the parts of the write pause.
func (p *Predicted) String() string {
	return fmt.Sprintf("fence %d, drain %d, verify %d, prove %d, way back %d, journal %d", p.Fence, p.Drain, p.Verify, p.Prove, p.Reverse, p.Journal)
}

// predictSwitch is how long clients wait besides for the write pause: for poolers before the fence, and until traffic is moved: to the last pooler, or to the last
// step where there is none. A step is taken to run as long as it takes to say where traffic goes; a pooler is talked to once to pause it, all at once,
// and three times to move it.
func (m *Machine) predictSwitch(asked []time.Duration, commit time.Duration) (poolers, route time.Duration) {
	var sum time.Duration
	for i, s := range m.cfg.Switch {
		_, pools := s.(Pooler)
		conversations := 2 // it runs, and is asked
		if pools {
			conversations = 3
			poolers = max(poolers, asked[i])
		}
		sum += time.Duration(conversations)*asked[i] + 2*commit // its intent and its outcome
		if pools {
			route = sum
		}
	}
	if poolers == 0 {
		route = sum
	}
	return poolers, route
}
