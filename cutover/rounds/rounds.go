// Package rounds keeps how long the last rounds of something took, and says how long the next will take.
//
// The answer is a high percentile of the rounds of the last 20 seconds, so that a burst counts and a single straggler among many does not; with few rounds it is
// the longest. A round that has not come back yet counts as long as it has lasted: when something is stuck, the answer grows with the clock.
package rounds

import (
	"slices"
	"sync"
	"time"
)

const (
	keep       = 20 * time.Second // rounds that ended longer ago say nothing of now
	most       = 64
	percentile = 90
)

// Window is the rounds of the last 20 seconds. The zero value has none.
type Window struct {
	mu      sync.Mutex
	ended   []round // oldest first
	running map[*round]struct{}
}

type round struct {
	began time.Time
	ended time.Time
}

func (r *round) took() time.Duration { return r.ended.Sub(r.began) }

// Begin begins a round. Its end is told by the function returned; a round that does not count, for it did not come to its end, is forgotten.
func (w *Window) Begin() (end func(counts bool)) {
	r := &round{began: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == nil {
		w.running = map[*round]struct{}{}
	}
	w.running[r] = struct{}{}
	return func(counts bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.running, r)
		if !counts {
			return
		}
		r.ended = time.Now()
		w.ended = append(w.ended, *r)
		w.ended = w.ended[max(0, len(w.ended)-most):]
	}
}

// High is how long a round is to be expected to take, and of how many rounds that is known; 0: of none.
func (w *Window) High() (took time.Duration, known int) { return w.high(time.Now()) }

func (w *Window) high(now time.Time) (high time.Duration, known int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var took []time.Duration
	for i := range w.ended {
		if now.Sub(w.ended[i].ended) <= keep {
			took = append(took, w.ended[i].took())
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		high = took[(len(took)*percentile+99)/100-1] // the nearest rank
	}
	for r := range w.running {
		high = max(high, now.Sub(r.began))
	}
	return high, len(took)
}
