package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// run settles the chain whenever sending stopped, and notices when acknowledgements stay away.
func (w *writer) run(ctx context.Context) {
	wait := w.l.cfg.ackTimeout
	tick := time.NewTicker(wait / 20)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.mu.Lock()
			if w.head < len(w.queue) && time.Since(w.moved) > wait {
				w.stall(fmt.Errorf("no acknowledgement for %s", wait))
			}
			w.mu.Unlock()
		case <-w.kick:
			w.recover(ctx)
		}
	}
}

// recover tries until frames flow again, the log fails or it is closed.
func (w *writer) recover(ctx context.Context) {
	pause := 20 * time.Millisecond
	for ctx.Err() == nil {
		err := w.resume(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			return
		}
		if final(err) {
			w.fail(err)
			return
		}
		w.mu.Lock()
		w.setBlocked(err)
		w.mu.Unlock()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-w.room:
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, 500*time.Millisecond)
	}
}

// resume finds out what the stream has, sends the first missing frame alone, and when that is durable the rest.
func (w *writer) resume(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	if w.head == len(w.queue) {
		w.flow()
		w.mu.Unlock()
		return nil
	}
	if err := w.diskRoom(); err != nil {
		w.mu.Unlock()
		return err
	}
	first := w.queue[w.head]
	// The queue only grows meanwhile: nothing is popped while the writer is not live.
	w.mu.Unlock()
	m := w.message(&first, "")

	rctx, end := w.l.link.call(ctx, w.l.cfg.ackTimeout)
	defer end()
	r, err := w.l.link.nc.RequestMsgWithContext(rctx, m)
	if err != nil {
		return w.unanswered(explain(rctx, err))
	}
	w.silent = 0
	if err := readAck(r, first.seq); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pop()
	w.flow()
	return nil
}

// flow opens the writer again and sends what waits. The lock is held.
func (w *writer) flow() {
	if w.err != nil {
		return
	}
	if w.blocked != "" {
		w.l.log.Info("the stream takes frames again", "stream", w.l.cfg.frameStream())
	}
	w.live, w.full, w.blocked = true, false, ""
	w.moved = time.Now()
	w.notify()
	w.pump()
}

// unanswered judges a publish without an answer. The embedded server answers, unless its storage failed: it then stays silent for ever.
func (w *writer) unanswered(err error) error {
	if w.l.srv == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		return err
	}
	if w.silent++; w.silent < 2 {
		return err
	}
	return fmt.Errorf("%w: the embedded server stores no more frames: %s: check the disk of %s and restart; nothing acknowledged is lost", ErrStorage, w.l.srv.log.lastOr(err.Error()), w.l.cfg.Dir)
}

// settle takes as durable what the stream has of the queue. The last frame is recognised by its checksum; the server stored it only because the
// one before it was ours too (see message), and so on down to base.
func (w *writer) settle(ctx context.Context) error {
	if !w.l.link.nc.IsConnected() {
		return errLost
	}
	info, err := w.l.state(ctx, w.l.link)
	if err != nil {
		return err
	}
	last := info.State.LastSeq
	w.mu.Lock()
	base, baseSum, tail := w.base, w.baseSum, w.next-1
	w.mu.Unlock()
	if last < base {
		// A replica that just became leader may lag for a moment.
		if w.shrunk++; w.l.srv == nil && w.shrunk < 10 {
			return fmt.Errorf("the stream ends at frame %d, frame %d was acknowledged", last, base)
		}
		return fmt.Errorf("%w: it ends at frame %d, frame %d was acknowledged: %s", ErrShrunk, last, base, remedyRestore)
	}
	w.shrunk = 0
	if last > tail {
		return fmt.Errorf("%w: the stream stands at frame %d, ours ends at %d: only one crossfade may run for a migration: stop the other one", ErrFenced, last, tail)
	}
	if last == 0 {
		return nil
	}
	f, err := w.l.frame(ctx, w.l.link, last)
	if err != nil {
		if errors.Is(err, ErrHole) {
			return fmt.Errorf("%w, and it is the last one: %s", err, remedyDamage)
		}
		return err
	}
	if last == base {
		if f.Sum != baseSum {
			return fmt.Errorf("%w: frame %d has checksum %016x, ours %016x was acknowledged: %s", ErrShrunk, last, f.Sum, baseSum, remedyRestore)
		}
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if ours := w.queue[w.head+int(last-base)-1]; ours.seq != last || ours.sum != f.Sum {
		return fmt.Errorf("%w: frame %d has checksum %016x, ours %016x: only one crossfade may run for a migration: stop the other one", ErrFenced, last, f.Sum, ours.sum)
	}
	for w.base < last {
		w.pop()
	}
	w.silent = 0 // the server does store, only slowly
	return nil
}

// minFree is the disk that must stay free: a full disk stops the embedded server for good, so the stream blocks before.
const minFree = 128 << 20

// diskRoom looks at the free disk of the embedded server once a second and every 16 MiB. The lock is held.
func (w *writer) diskRoom() error {
	if w.l.srv == nil || w.live && w.written < 16<<20 && time.Since(w.diskAt) < time.Second {
		return nil
	}
	w.diskAt, w.written = time.Now(), 0
	free, err := freeBytes(w.l.cfg.Dir)
	if err != nil {
		return err
	}
	if need := minFree + w.l.cfg.InFlight; free < need {
		return fmt.Errorf("%w: the disk of %s has %d bytes free, %d must stay: free some", errFull, w.l.cfg.Dir, free, need)
	}
	return nil
}
