package stream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// purger remembers when which frames were reported applied. It forgets at a restart: then the time to keep begins anew.
type purger struct {
	mu      sync.Mutex
	reports []report
	ready   uint64 // may go
	done    uint64 // purged up to here
}

type report struct {
	at  time.Time
	seq uint64
}

// due records a report and returns up to where frames may go now.
func (p *purger) due(upTo uint64, now time.Time, keep time.Duration) uint64 {
	if keep == 0 {
		return upTo
	}
	n := len(p.reports)
	// A few dozen reports over the time to keep are enough: leaving one out only keeps its frames a little longer.
	if n == 0 || upTo > p.reports[n-1].seq && now.Sub(p.reports[n-1].at) >= keep/64 {
		p.reports = append(p.reports, report{now, upTo})
	}
	i := 0
	for ; i < len(p.reports) && now.Sub(p.reports[i].at) >= keep; i++ {
		p.ready = max(p.ready, p.reports[i].seq)
	}
	p.reports = append(p.reports[:0], p.reports[i:]...)
	return min(p.ready, upTo)
}

// Purge reports that frames up to upTo are no longer needed. Those reported longer ago than Keep are removed; the last frame always stays.
// Call it every few seconds, also when nothing moved: reports age only when it is called.
func (l *Log) Purge(ctx context.Context, upTo uint64) error {
	p := &l.purge
	p.mu.Lock()
	defer p.mu.Unlock()
	seq := p.due(upTo, time.Now(), l.cfg.Keep)
	if seq <= p.done {
		return nil
	}
	info, err := l.state(ctx, l.link)
	if err != nil {
		return fmt.Errorf("purge stream up to frame %d: %w", upTo, err)
	}
	if upTo > info.State.LastSeq {
		return fmt.Errorf("purge stream up to frame %d: %w: it ends at frame %d: %s", upTo, ErrShrunk, info.State.LastSeq, remedyRestore)
	}
	first := min(seq+1, info.State.LastSeq) // the first one that stays
	if first > info.State.FirstSeq {
		ctx, end := l.link.call(ctx, 10*apiTimeout)
		defer end()
		s, err := l.link.js.Stream(ctx, l.cfg.frameStream())
		if err == nil {
			err = s.Purge(ctx, jetstream.WithPurgeSequence(first))
		}
		if err != nil {
			return fmt.Errorf("purge stream up to frame %d: %w", first-1, explain(ctx, err))
		}
	}
	p.done = first - 1
	select {
	case l.w.room <- struct{}{}:
	default:
	}
	return nil
}
