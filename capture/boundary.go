package capture

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/crossfade-io/crossfade/internal/change"
)

// boundary is where others ask the tail for a control frame between two source transactions.
type boundary struct {
	mu       sync.Mutex
	inside   bool // the tail stands inside a transaction
	requests []request
}

type request struct {
	message change.ControlMessage
	still   func() bool // asked in the last moment: is the message still right
	done    chan answer // buffered
}

type answer struct {
	seq uint64
	ok  bool
	err error
}

// ErrEnded is returned to whoever waits for a publisher that has ended. Its successor may be asked.
var ErrEnded = errors.New("the reading of the source's log has ended")

func (b *boundary) enter() {
	b.mu.Lock()
	b.inside = true
	b.mu.Unlock()
}

func (b *boundary) leave() {
	b.mu.Lock()
	b.inside = false
	b.mu.Unlock()
}

func (b *boundary) isInside() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inside
}

func (b *boundary) asked() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests) > 0
}

func (b *boundary) take() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.requests
	b.requests = nil
	return r
}

// AtBoundary publishes a control message between two source transactions, if still says yes in that moment. ok is false when it said no.
func (p *Publisher) AtBoundary(ctx context.Context, m change.ControlMessage, still func() bool) (seq uint64, ok bool, err error) {
	r := request{message: m, still: still, done: make(chan answer, 1)}
	p.boundary.mu.Lock()
	p.boundary.requests = append(p.boundary.requests, r)
	p.boundary.mu.Unlock()
	select {
	case a := <-r.done:
		return a.seq, a.ok, a.err
	case <-p.ended:
		return 0, false, fmt.Errorf("publish a message between two transactions: %w", ErrEnded)
	case <-ctx.Done():
		return 0, false, context.Cause(ctx)
	}
}

// keyMoves remembers, for each source table, the last frame with a key change whose new row had absent columns.
type keyMoves struct {
	mu    sync.Mutex
	last  map[string]uint64
	floor uint64 // before this start anything may have happened
}

func (k *keyMoves) note(table string, seq uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last == nil {
		k.last = map[string]uint64{}
	}
	k.last[table] = seq
}

func (k *keyMoves) of(table string) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(k.last[table], k.floor)
}
