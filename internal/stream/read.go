package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/crossfade-io/crossfade/internal/change"
)

const (
	// pullBytes bounds what the server has sent ahead of Next. It must hold the largest message.
	pullBytes = 12 << 20
	// quiet is how long nothing may come before the reader asks whether something should have.
	quiet = time.Second
	// deaf is how long nothing may come, though the stream has it, before the consumer is replaced.
	deaf = 5 * time.Second
)

// Reader reads the frames after a place, in order, each checked against the one before. It is for one goroutine.
type Reader struct {
	l    *Log
	link *link
	it   jetstream.MessagesContext

	consumer string
	next     uint64 // sequence of the next frame
	prev     uint64 // checksum of the frame before it
	known    bool   // prev is known
	err      error
	checked  time.Time // when a frame last came, or the stream was asked
	heard    time.Time // when a frame last came, or the consumer was made
	pause    time.Duration
	again    atomic.Bool // the connection was lost meanwhile: the consumer may have missed something
}

// Read returns a reader of the frames after `after`, which is what the ledger stands on; sum is the checksum it kept of that frame, 0 when unknown.
// It refuses a stream that does not hold that frame with that checksum at its end or before, or of which the next one is purged.
func (l *Log) Read(ctx context.Context, after, sum uint64) (*Reader, error) {
	r := &Reader{l: l, next: after + 1, prev: sum, known: sum != 0 || after == 0}
	if after == 0 {
		r.prev = 0
	}
	var err error
	if r.link, err = l.connect("reader", nil, func() { r.again.Store(true) }); err != nil {
		return nil, err
	}
	if err := r.begin(ctx, after, sum); err != nil {
		r.link.nc.Close()
		return nil, fmt.Errorf("read stream after frame %d: %w", after, err)
	}
	return r, nil
}

func (r *Reader) begin(ctx context.Context, after, sum uint64) error {
	info, err := r.l.state(ctx, r.link)
	if err != nil {
		return err
	}
	first, last := info.State.FirstSeq, info.State.LastSeq
	if after > last {
		return fmt.Errorf("%w: the ledger stands on frame %d, the stream ends at %d: %s", ErrShrunk, after, last, remedyRestore)
	}
	if last == 0 {
		return nil
	}
	if r.next < first {
		return fmt.Errorf("%w: the ledger stands on frame %d, the first frame kept is %d: if the target failed over to a copy that lags, let it catch up or restore it; else run cleanup and take a new snapshot", ErrPurged, after, first)
	}
	if after == 0 || after < first {
		if after == last { // purged to nothing by someone else
			return fmt.Errorf("%w: the last frame %d is gone: %s", ErrHole, last, remedyDamage)
		}
		return nil
	}
	f, err := r.l.frame(ctx, r.link, after)
	if err != nil {
		if errors.Is(err, ErrHole) {
			return fmt.Errorf("%w, and the ledger stands on it: %s", err, remedyDamage)
		}
		return err
	}
	if sum != 0 && f.Sum != sum {
		return fmt.Errorf("%w: frame %d has checksum %016x, the ledger %016x: %s", ErrShrunk, after, f.Sum, sum, remedyRestore)
	}
	r.prev, r.known = f.Sum, true
	return nil
}

// Next returns the next frame and waits for it. The frame's bytes belong to the caller. Lost connections are mended inside; an error
// other than the context's is final.
func (r *Reader) Next(ctx context.Context) (change.Frame, error) {
	for {
		if r.err != nil {
			return change.Frame{}, r.err
		}
		if err := ctx.Err(); err != nil {
			return change.Frame{}, err
		}
		m, err := r.receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return change.Frame{}, ctx.Err()
			}
			if final(err) {
				r.err = fmt.Errorf("read frame %d: %w", r.next, err)
				continue
			}
			if r.pause == 0 {
				r.l.log.Warn("reading the stream is interrupted; trying again", "next_frame", r.next, "error", err)
			}
			r.drop()
			if err := r.wait(ctx); err != nil {
				return change.Frame{}, err
			}
			continue
		}
		if m == nil {
			continue
		}
		f, err := r.take(m)
		if err != nil {
			r.err = fmt.Errorf("read frame %d: %w", r.next, err)
			continue
		}
		r.pause = 0
		return f, nil
	}
}

// receive returns the next message, or nil when there is none now and nothing is wrong.
func (r *Reader) receive(ctx context.Context) (jetstream.Msg, error) {
	select {
	case <-r.l.closing:
		return nil, ErrClosed
	default:
	}
	if r.again.Swap(false) {
		r.drop()
	}
	if r.it == nil {
		if err := r.subscribe(ctx); err != nil {
			return nil, err
		}
	}
	if time.Since(r.checked) >= quiet {
		if err := r.check(ctx); err != nil {
			return nil, err
		}
		if r.it == nil {
			return nil, nil
		}
	}
	wctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	m, err := r.it.Next(jetstream.NextContext(wctx))
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return nil, nil
		}
		return nil, err
	}
	md, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	if md.Sequence.Stream == r.next {
		return m, nil
	}
	if md.Sequence.Stream < r.next {
		return nil, fmt.Errorf("the consumer went back to frame %d", md.Sequence.Stream)
	}
	// Either the message was lost on its way, or the stream does not have it: the server skips what it cannot read.
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("frame %d came instead", md.Sequence.Stream)
}

// take checks that a message is the continuation of the chain.
func (r *Reader) take(m jetstream.Msg) (change.Frame, error) {
	f, err := r.l.parse(m.Data(), r.next)
	if err != nil {
		return f, err
	}
	if r.known && f.Prev != r.prev {
		return f, fmt.Errorf("%w: it follows a frame with checksum %016x, frame %d has %016x: %s", ErrShrunk, f.Prev, r.next-1, r.prev, remedyRestore)
	}
	r.next, r.prev, r.known = f.Seq+1, f.Sum, true
	r.heard = time.Now()
	r.checked = r.heard
	return f, nil
}

// check asks the stream whether it has the next frame. A frame that it must have and has not is a hole.
func (r *Reader) check(ctx context.Context) error {
	info, err := r.l.state(ctx, r.link)
	if err != nil {
		return err
	}
	if r.next > info.State.LastSeq+1 {
		return fmt.Errorf("%w: frame %d was read, the stream ends at %d: %s", ErrShrunk, r.next-1, info.State.LastSeq, remedyRestore)
	}
	r.checked = time.Now()
	if r.next > info.State.LastSeq {
		r.heard = r.checked // nothing to hear
		return nil
	}
	_, err = r.l.frame(ctx, r.link, r.next)
	if errors.Is(err, ErrHole) {
		if info, ierr := r.l.state(ctx, r.link); ierr != nil {
			return ierr
		} else if r.next < info.State.FirstSeq {
			return fmt.Errorf("%w: the first frame kept is %d: who purged it?", ErrPurged, info.State.FirstSeq)
		}
		return fmt.Errorf("%w: %s", err, remedyDamage)
	}
	if err != nil {
		return err
	}
	if time.Since(r.heard) >= deaf {
		r.drop()
	}
	return nil
}

// subscribe makes a consumer that begins at the next frame.
func (r *Reader) subscribe(ctx context.Context) error {
	if !r.link.nc.IsConnected() {
		return errLost
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	cctx, end := r.link.call(ctx, apiTimeout)
	defer end()
	c, err := r.link.js.CreateConsumer(cctx, r.l.cfg.frameStream(), jetstream.ConsumerConfig{
		Description:       "crossfade reader",
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.next,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: 2 * time.Minute,
	})
	if err != nil {
		return fmt.Errorf("make a consumer: %w", explain(cctx, err))
	}
	it, err := c.Messages(jetstream.PullMaxBytes(pullBytes), jetstream.PullExpiry(30*time.Second), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return fmt.Errorf("start a consumer: %w", err)
	}
	r.it, r.consumer = it, c.CachedInfo().Name
	r.heard = time.Now()
	return nil
}

// drop lets go of the consumer; the server forgets it after a while.
func (r *Reader) drop() {
	if r.it != nil {
		r.it.Stop()
		r.it = nil
	}
}

func (r *Reader) wait(ctx context.Context) error {
	r.pause = min(max(2*r.pause, 20*time.Millisecond), time.Second)
	timer := time.NewTimer(r.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.l.closing:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Close ends the reader.
func (r *Reader) Close() error {
	if r.it != nil && r.link.nc.IsConnected() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		r.drop()
		if err := r.link.js.DeleteConsumer(ctx, r.l.cfg.frameStream(), r.consumer); err != nil {
			r.l.log.Debug("the consumer is left to expire", "error", err)
		}
	}
	r.link.nc.Close()
	if r.err == nil {
		r.err = ErrClosed
	}
	return nil
}
