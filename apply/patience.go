package apply

import (
	"context"
	"time"
)

// Patience ends a context when nothing has been heard of for a while. A cascade over millions of children has no length that could be foreseen, and every step of it is short.
type Patience struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// BePatient returns a context that ends, with [context.DeadlineExceeded], when for the limit neither Progress nor End is called.
func BePatient(ctx context.Context, limit time.Duration) (context.Context, *Patience) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &Patience{limit: limit, cancel: cancel, timer: time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })}
}

// Progress starts the limit anew. A nil Patience has none.
func (p *Patience) Progress() {
	if p != nil {
		p.timer.Reset(p.limit)
	}
}

// End frees what the context holds.
func (p *Patience) End() {
	p.timer.Stop()
	p.cancel(nil)
}
