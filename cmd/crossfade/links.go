package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
)

// links are the connections that are down at the moment.
type links struct {
	mu     sync.Mutex
	broken map[string]control.LinkStatus
}

func (l *links) down(to string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = map[string]control.LinkStatus{}
	}
	s, known := l.broken[to]
	if !known {
		s = control.LinkStatus{To: to, Since: time.Now()}
	}
	s.Error = err.Error()
	l.broken[to] = s
}

func (l *links) up(to string) {
	l.mu.Lock()
	delete(l.broken, to)
	l.mu.Unlock()
}

func (l *links) list() []control.LinkStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]control.LinkStatus, 0, len(l.broken))
	for _, s := range l.broken {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b control.LinkStatus) int { return strings.Compare(a.To, b.To) })
	return out
}

// counterGate lets many wait for the next of a series of events.
type counterGate struct {
	mu   sync.Mutex
	n    int
	next chan struct{}
}

func (c *counterGate) now() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// after waits for an event later than the n-th.
func (c *counterGate) after(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		if c.n > n {
			c.mu.Unlock()
			return nil
		}
		if c.next == nil {
			c.next = make(chan struct{})
		}
		next := c.next
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-next:
		}
	}
}

func (c *counterGate) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}
