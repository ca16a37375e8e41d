package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// application sells until it is told to stop, on the database that the switch file names.
type application struct {
	shop       extent
	workers    int
	rate       int
	switchFile string
	databases  map[side]shopDB
	sales      *timeline
	refused    atomic.Int64 // writes that a closed gate refused; each was tried again
	retried    atomic.Int64 // for other reasons, such as deadlocks
	doubts     atomic.Int64
	longest    atomic.Int64 // nanoseconds that one sale took, tries and all
	onError    func(error)  // hears of what ends it

	crew    []*worker
	wait    sync.WaitGroup
	cancel  context.CancelFunc
	stopped chan struct{} // closed: take no new sale

	mu     sync.Mutex
	failed error
}

// start lets the application sell. The error of a worker ends it; see err.
func (a *application) start(ctx context.Context) {
	ctx, a.cancel = context.WithCancel(ctx)
	a.stopped = make(chan struct{})
	for n := range a.workers {
		w := &worker{seller: of(tables, n), app: a, n: n, ledger: ledger{}}
		a.crew = append(a.crew, w)
		a.wait.Go(func() {
			if err := w.run(ctx); err != nil && ctx.Err() == nil {
				a.fail(fmt.Errorf("the application: %w", err))
			}
		})
	}
}

// stop lets every sale that has begun come to its end, and returns what was acknowledged.
func (a *application) stop() (ledger, error) {
	close(a.stopped)
	a.wait.Wait()
	a.cancel()
	all := ledger{}
	for _, w := range a.crew {
		maps.Copy(all, w.ledger) // no two workers write the same row
	}
	return all, a.err()
}

// abandon ends it at once, also when it never began or has stopped.
func (a *application) abandon() {
	if a.cancel != nil {
		a.cancel()
	}
	a.wait.Wait()
	for _, db := range a.databases {
		db.close()
	}
}

func (a *application) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = errors.Join(a.failed, err)
	a.onError(err)
}

func (a *application) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (w *worker) run(ctx context.Context) error {
	period := time.Duration(w.app.workers) * time.Second / time.Duration(w.app.rate)
	due := time.Now().Add(period * time.Duration(w.n) / time.Duration(w.app.workers))
	for {
		// Who was held up does not make up for it.
		if now := time.Now(); due.Before(now.Add(-2 * period)) {
			due = now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.app.stopped:
			return nil
		case <-time.After(time.Until(due)):
		}
		due = due.Add(period)
		if err := w.sell(ctx, w.next()); err != nil {
			return err
		}
	}
}

// patience is how long a sale is tried.
const patience = time.Minute

// sell does one sale, again and again until it is acknowledged.
func (w *worker) sell(ctx context.Context, s sale) error {
	a := w.app
	began := time.Now()
	for {
		at, err := readSwitch(a.switchFile)
		if err != nil {
			return err
		}
		db := a.databases[at]
		switch err = s.perform(ctx, db); {
		case err == nil:
			w.ledger.acknowledge(s.effects(), at)
			s.then()
			a.sales.note(at)
			if took := int64(time.Since(began)); took > a.longest.Load() {
				a.longest.Store(took) // two at once: either is long
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errLost):
			return err
		case errors.Is(err, errDoubt):
			w.ledger.doubt(s.effects(), at)
			a.doubts.Add(1)
			return nil
		case time.Since(began) > patience:
			return fmt.Errorf("a sale did not come through within %s: %w", patience, err)
		case db.refused(err):
			a.refused.Add(1)
		default:
			a.retried.Add(1)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// timeline counts acknowledged sales in slots of time.
type timeline struct {
	began  time.Time
	counts map[side]*[slots]atomic.Uint32
	totals map[side]*atomic.Int64
	last   atomic.Int64 // nanoseconds from the beginning to the last sale on the source
	first  atomic.Int64 // and to the first on the target
}

const (
	slot  = 20 * time.Millisecond
	slots = 60_000 // 20 minutes
)

func newTimeline() *timeline {
	t := &timeline{began: time.Now(), counts: map[side]*[slots]atomic.Uint32{}, totals: map[side]*atomic.Int64{}}
	for _, s := range []side{source, target} {
		t.counts[s], t.totals[s] = new([slots]atomic.Uint32), new(atomic.Int64)
	}
	return t
}

func (t *timeline) slotOf(at time.Time) int { return min(max(int(at.Sub(t.began)/slot), 0), slots-1) }

func (t *timeline) note(at side) {
	now := time.Now()
	t.counts[at][t.slotOf(now)].Add(1)
	t.totals[at].Add(1)
	if after := int64(now.Sub(t.began)); at == target {
		t.first.CompareAndSwap(0, after)
	} else {
		t.last.Store(after)
	}
}

// pause is how long the application sold nothing when it moved.
func (t *timeline) pause() time.Duration { return time.Duration(t.first.Load() - t.last.Load()) }

func (t *timeline) total(at side) int64 { return t.totals[at].Load() }

// between counts the sales of the slots from one to before another.
func (t *timeline) between(at side, from, to int) (n int) {
	for i := max(from, 0); i < min(to, slots); i++ {
		n += int(t.counts[at][i].Load())
	}
	return n
}

// turn is the slot of the last sale on the source and that of the first on the target; not ok when either has none.
func (t *timeline) turn() (last, first int, ok bool) {
	last, first = -1, -1
	for i := range t.slotOf(time.Now()) + 1 {
		if t.counts[source][i].Load() > 0 {
			last = i
		}
		if first < 0 && t.counts[target][i].Load() > 0 {
			first = i
		}
	}
	return last, first, last >= 0 && first >= 0
}
