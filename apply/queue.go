package apply

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-io/crossfade/internal/change"
)

// frame is a decoded frame, shared by the lanes that have work in it.
type frame struct {
	changes []change.Change
	shapes  []*shape // of each change
	items   [][]item // by lane
	arena   change.Arena
	refs    atomic.Int32
	size    int64 // of the bytes and values
	charged int64 // of size, to the pool
	pool    *pool
}

func (f *frame) release() {
	if f.refs.Add(-1) == 0 {
		f.pool.put(f)
	}
}

// pool bounds the memory of decoded frames and uses it again.
type pool struct {
	limit int64

	mu   sync.Mutex
	used int64 // by frames that were admitted
	free []*frame
	kept int64 // by those that are free
	room chan struct{}
}

func newPool(limit int64) *pool { return &pool{limit: limit, room: make(chan struct{}, 1)} }

func (p *pool) get() *frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		f := p.free[n-1]
		p.free = p.free[:n-1]
		p.kept -= f.size
		f.size = 0
		return f
	}
	return &frame{pool: p}
}

// admit waits until the frame's memory fits. One frame always fits when it is alone.
func (p *pool) admit(ctx context.Context, f *frame) error {
	for {
		p.mu.Lock()
		if p.used == 0 || p.used+f.size <= p.limit {
			p.used += f.size
			f.charged = f.size
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *pool) put(f *frame) {
	p.mu.Lock()
	p.used -= f.charged // nothing for a frame that was never admitted
	f.charged = 0
	if len(p.free) < 16 && p.kept+f.size <= p.limit/4 {
		p.kept += f.size
		clear(f.changes) // their rows keep the frame's bytes alive
		f.changes, f.shapes = f.changes[:0], f.shapes[:0]
		for i := range f.items {
			f.items[i] = f.items[i][:0]
		}
		f.arena.Reset()
		p.free = append(p.free, f)
	}
	p.mu.Unlock()
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// refusal is a row whose transform failed: the table is held from its frame on.
type refusal struct {
	table  *Table
	key    string
	reason string
}

// unit is what one lane does about one frame.
type unit struct {
	frame    *frame // nil when the lane has no changes in it
	items    []item
	work     int // in items
	size     int64
	seq      uint64 // of the frame
	place    Place  // what the ledger may stand on after it: the frame, or a later one without work for this lane
	progress []Progress
	refused  []refusal
	stop     *barrier
}

func (u *unit) empty() bool {
	return u.frame == nil && u.stop == nil && len(u.progress) == 0 && len(u.refused) == 0
}

// queue holds the units of one lane in order. Its bytes are bounded by the pool; empty units take no room, they move the place of the one before.
type queue struct {
	mu     sync.Mutex
	units  []unit
	idle   Place  // behind all units
	moved  bool   // idle holds a place that nobody has taken
	wanted uint64 // somebody waits for the ledger to reach this frame: the idle place is not kept back from there on
	wake   chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) push(u unit) {
	q.mu.Lock()
	if u.empty() {
		if n := len(q.units); n > 0 && q.units[n-1].stop == nil {
			q.units[n-1].place = u.place
		} else {
			q.idle, q.moved = u.place, true
		}
		hurry := q.hurryLocked()
		q.mu.Unlock()
		if hurry {
			q.poke()
		}
		return
	}
	if q.moved { // places stay in order: the one that was idle belongs before this unit, and this one is past it
		q.moved = false
	}
	q.units = append(q.units, u)
	q.mu.Unlock()
	q.poke()
}

// want makes an idle lane move its ledger as soon as it can stand on the frame.
func (q *queue) want(seq uint64) {
	q.mu.Lock()
	q.wanted = max(q.wanted, seq)
	hurry := q.hurryLocked()
	q.mu.Unlock()
	if hurry {
		q.poke()
	}
}

func (q *queue) hurryLocked() bool { return q.moved && q.wanted > 0 && q.idle.Seq >= q.wanted }

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take moves the next units to dst: as many as there are, up to the limits, a stop always alone. Without units it waits; at the deadline
// it returns the idle place, if there is one.
func (q *queue) take(ctx context.Context, dst []unit, maxItems int, maxBytes int64, deadline <-chan time.Time) (units []unit, idle Place, moved bool, err error) {
	due := false
	for {
		q.mu.Lock()
		if n := q.prefix(maxItems, maxBytes); n > 0 {
			dst = append(dst, q.units[:n]...)
			rest := copy(q.units, q.units[n:])
			clear(q.units[rest:])
			q.units = q.units[:rest]
			q.mu.Unlock()
			return dst, Place{}, false, nil
		}
		if hurry := q.hurryLocked(); q.moved && (due || hurry) {
			idle = q.idle
			q.moved = false
			if hurry {
				q.wanted = 0
			}
			q.mu.Unlock()
			return dst, idle, true, nil
		}
		q.mu.Unlock()
		if due {
			return dst, Place{}, false, nil
		}
		select {
		case <-q.wake:
		case <-deadline:
			due = true
		case <-ctx.Done():
			return dst, Place{}, false, context.Cause(ctx)
		}
	}
}

func (q *queue) prefix(maxItems int, maxBytes int64) int {
	items, bytes := 0, int64(0)
	for i := range q.units {
		u := &q.units[i]
		if u.stop != nil {
			return max(i, 1) // what is before it, or it alone
		}
		items += u.work
		bytes += u.size
		if i > 0 && (items > maxItems || bytes > maxBytes) {
			return i
		}
	}
	return len(q.units)
}
