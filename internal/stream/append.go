package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/crossfade-io/crossfade/internal/change"
)

// ackTimeout is how long no acknowledgement may come while frames are in flight before the stream is asked what it has.
const ackTimeout = 10 * time.Second

// sent is a sealed frame that is not known to be durable.
type sent struct {
	seq, sum, prev uint64
	data           []byte
}

// writer keeps the chain. While it is live every frame is sent as it comes; otherwise frames only queue up, and settle finds out
// what the stream has before the rest is sent again.
type writer struct {
	l       *Log
	subject string
	inbox   string
	sub     *nats.Subscription

	mu      sync.Mutex
	queue   []sent // queue[head:] in chain order
	head    int
	under   int // frames of it under way, from head on
	bytes   int64
	next    uint64 // sequence of the next frame
	sum     uint64 // checksum of the frame before it
	base    uint64 // the last frame known durable, and its checksum
	baseSum uint64
	round   uint64 // replies to frames sent in an earlier round mean nothing
	live    bool
	full    bool
	blocked string
	err     error         // final
	tailErr error         // the last frame could not be read when the log was opened
	changed chan struct{} // closed when anything changes; nil: nobody waits
	moved   time.Time     // when the last acknowledgement came, or the queue began
	diskAt  time.Time     // when the free disk was last looked at
	written int64         // bytes sent since then

	acked  atomic.Uint64
	depth  int           // frames that may be under way at once
	kick   chan struct{} // settle is wanted
	room   chan struct{} // there may be room again
	silent int           // requests in a row that the server did not answer though it is there
	shrunk int           // readings in a row that showed the stream shorter than it was

	cancel context.CancelFunc
	done   chan struct{}
}

func newWriter(l *Log) *writer {
	return &writer{
		l: l, inbox: nats.NewInbox(),
		live: true, kick: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
}

// lost is called when the connection is lost.
func (w *writer) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.head < len(w.queue) {
		w.stall(errLost)
	}
}

// prime reads the place at which the chain goes on. A damaged tail does not keep the log from opening, only from being written.
func (w *writer) prime(ctx context.Context) error {
	f, ok, err := w.l.Last(ctx)
	if err != nil {
		if !final(err) {
			return err
		}
		w.tailErr = err
		return nil
	}
	if ok {
		w.base, w.baseSum, w.sum = f.Seq, f.Sum, f.Sum
		w.acked.Store(f.Seq)
	}
	w.next = w.base + 1
	return nil
}

func (w *writer) start(ctx context.Context) error {
	w.subject = w.l.cfg.frameSubject(w.l.id)
	// The replicas of a cluster do not all know the last message id after a restart, so it cannot be a condition there. One frame at a time
	// needs only the sequence: what stands before it is known to be ours.
	w.depth = maxInFlightFrames
	if w.l.replicas > 1 {
		w.depth = 1
	}
	err := w.prime(ctx)
	if err != nil {
		return err
	}
	if w.sub, err = w.l.link.nc.Subscribe(w.inbox+".*", w.reply); err != nil {
		return fmt.Errorf("open stream at %s: subscribe to acknowledgements: %w", w.l.cfg.where(), err)
	}
	if err := w.sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("open stream at %s: subscribe to acknowledgements: %w", w.l.cfg.where(), err)
	}
	run, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		w.run(run)
	}()
	return nil
}

func (w *writer) stop() {
	w.fail(ErrClosed)
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}

// final reports whether an error says what the stream is, not that it could not be asked.
func final(err error) bool {
	for _, e := range []error{ErrHole, ErrForeign, ErrShrunk, ErrPurged, ErrFenced, ErrStorage, ErrClosed, change.ErrCorrupt} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Append seals the frame as the next of the chain and sends it. It owns the bytes from here on. It returns once the frame is queued, which
// waits while the in-flight budget is used up: also for as long as the stream is full or unreachable. An error other than the context's, or one
// about the frame's size, is final.
func (l *Log) Append(ctx context.Context, frame []byte) (uint64, error) {
	w := l.w
	if limit := l.link.nc.MaxPayload() - payloadSlack; int64(len(frame)) > limit {
		return 0, fmt.Errorf("append frame: it has %d bytes, the stream takes %d: cut it into parts", len(frame), limit)
	}
	// The last frame always stays, so a larger one could wait for room for ever.
	if int64(len(frame))+payloadSlack > l.maxBytes/2 {
		return 0, fmt.Errorf("append frame: it has %d bytes, more than half of the stream's max_bytes (%d): raise stream.max_bytes", len(frame), l.maxBytes)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.err != nil {
			return 0, fmt.Errorf("append frame: %w", w.err)
		}
		if w.tailErr != nil {
			return 0, fmt.Errorf("append frame: %w", w.tailErr)
		}
		n := len(w.queue) - w.head
		if n == 0 || n < maxInFlightFrames && w.bytes+int64(len(frame)) <= l.cfg.InFlight {
			break
		}
		if err := w.await(ctx); err != nil {
			if w.blocked != "" {
				return 0, fmt.Errorf("append frame: %w, while the stream is blocked: %s", err, w.blocked)
			}
			return 0, fmt.Errorf("append frame: %w", err)
		}
	}
	seq := w.next
	sum, err := change.Seal(frame, l.id, seq, w.sum)
	if err != nil {
		return 0, fmt.Errorf("append frame: %w", err)
	}
	w.push(sent{seq: seq, sum: sum, prev: w.sum, data: frame})
	w.next, w.sum = seq+1, sum
	if w.live {
		if err := w.diskRoom(); err != nil {
			w.stall(err)
		} else {
			w.pump()
		}
	}
	return seq, nil
}

// await lets go of the lock until something changes.
func (w *writer) await(ctx context.Context) error {
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	ch := w.changed
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) notify() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

func (w *writer) push(s sent) {
	if len(w.queue) == w.head {
		w.moved = time.Now()
	}
	if w.head > 64 && w.head*2 > len(w.queue) {
		n := copy(w.queue, w.queue[w.head:])
		clear(w.queue[n:])
		w.queue, w.head = w.queue[:n], 0
	}
	w.queue = append(w.queue, s)
	w.bytes += int64(len(s.data))
	w.written += int64(len(s.data))
}

// pop takes the first frame of the queue as durable.
func (w *writer) pop() {
	s := &w.queue[w.head]
	w.base, w.baseSum = s.seq, s.sum
	w.bytes -= int64(len(s.data))
	*s = sent{}
	w.head++
	w.under = max(0, w.under-1)
	if w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	}
	w.moved = time.Now()
	w.acked.Store(w.base)
	w.notify()
}

// message is the frame on its way. Two conditions make the server refuse it anywhere but behind the frame it was sealed to follow: the
// sequence before it, and the checksum of the frame there, carried as its message id. The sequence alone would not do: with many frames under
// way, those of one writer fit behind the other's.
func (w *writer) message(s *sent, reply string) *nats.Msg {
	h := nats.Header{
		jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(s.seq-1, 10)},
		jetstream.MsgIDHeader:           {change.ShapeName(s.sum)},
	}
	if s.seq > 1 && w.depth > 1 {
		h[jetstream.ExpectedLastMsgIDHeader] = []string{change.ShapeName(s.prev)}
	}
	return &nats.Msg{Subject: w.subject, Reply: reply, Header: h, Data: s.data}
}

// pump sends what may be sent. The lock is held and the writer is live.
func (w *writer) pump() {
	for ; w.live && w.under < w.depth && w.head+w.under < len(w.queue); w.under++ {
		s := &w.queue[w.head+w.under]
		err := w.l.link.nc.PublishMsg(w.message(s, w.inbox+"."+strconv.FormatUint(w.round, 36)+"_"+strconv.FormatUint(s.seq, 36)))
		if errors.Is(err, nats.ErrReconnectBufExceeded) {
			err = errLost
		}
		if err != nil {
			w.stall(err)
			return
		}
	}
}

// stall stops sending and wants the stream settled. What is in flight may arrive or not.
func (w *writer) stall(cause error) {
	if !w.live || w.err != nil {
		return
	}
	w.live = false
	w.under = 0
	w.round++
	w.setBlocked(cause)
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *writer) setBlocked(cause error) {
	why := cause.Error()
	if why != w.blocked {
		w.l.log.Warn("the stream takes no frames now; trying again", "stream", w.l.cfg.frameStream(), "reason", why, "waiting_frames", len(w.queue)-w.head)
	}
	w.blocked = why
	w.full = errors.Is(cause, errFull)
}

// ack is the server's answer to a published frame.
type ack struct {
	Seq   uint64 `json:"seq"`
	Error *struct {
		Code    int    `json:"err_code"`
		Message string `json:"description"`
	} `json:"error"`
}

var (
	errFull     = errors.New("the stream is full")
	errMismatch = errors.New("the stream's last sequence is another")
)

// Error codes of JetStream.
const (
	codeStoreFailed     = 10077 // the stream is full
	codeNoResources     = 10023
	codeNoStorage       = 10047
	codeAccountLimit    = 10002
	codeWrongLast       = 10071
	codeWrongLastShared = 10164 // the same on a replicated stream
	codeWrongLastID     = 10070
	codeTooLarge        = 10054
	codeSealed          = 10109
)

// read returns nil for an acknowledgement of frame seq.
func readAck(m *nats.Msg, seq uint64) error {
	if len(m.Data) == 0 {
		return fmt.Errorf("no stream answers (status %q)", m.Header.Get("Status"))
	}
	var a ack
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return fmt.Errorf("acknowledgement of frame %d: %w", seq, err)
	}
	if a.Error == nil {
		if a.Seq != seq {
			return fmt.Errorf("%w: frame %d was stored as %d", ErrForeign, seq, a.Seq)
		}
		return nil
	}
	switch a.Error.Code {
	case codeStoreFailed, codeNoResources, codeNoStorage, codeAccountLimit:
		return fmt.Errorf("%w: %s (%d)", errFull, a.Error.Message, a.Error.Code)
	case codeWrongLast, codeWrongLastShared, codeWrongLastID:
		return fmt.Errorf("%w: %s (%d)", errMismatch, a.Error.Message, a.Error.Code)
	case codeTooLarge, codeSealed:
		return fmt.Errorf("%w: frame %d refused: %s (%d)", ErrForeign, seq, a.Error.Message, a.Error.Code)
	default:
		return fmt.Errorf("frame %d refused: %s (%d)", seq, a.Error.Message, a.Error.Code)
	}
}

// reply takes the answer to one frame. Answers come in the order of the frames; anything else is settled by reading the stream.
func (w *writer) reply(m *nats.Msg) {
	round, seq, ok := parseReply(m.Subject[len(w.inbox)+1:])
	w.mu.Lock()
	defer w.mu.Unlock()
	if !ok || !w.live || w.err != nil || round != w.round {
		return
	}
	if err := readAck(m, seq); err != nil {
		if final(err) {
			w.failLocked(err)
			return
		}
		w.stall(err)
		return
	}
	if w.head == len(w.queue) || w.queue[w.head].seq != seq {
		w.stall(fmt.Errorf("the acknowledgement of frame %d came out of order", seq))
		return
	}
	w.pop()
	w.pump()
}

func parseReply(s string) (round, seq uint64, ok bool) {
	a, b, found := strings.Cut(s, "_")
	round, err1 := strconv.ParseUint(a, 36, 64)
	seq, err2 := strconv.ParseUint(b, 36, 64)
	return round, seq, found && err1 == nil && err2 == nil
}

func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(err)
}

func (w *writer) failLocked(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	w.live = false
	w.blocked = err.Error()
	if !errors.Is(err, ErrClosed) {
		w.l.log.Error("the stream takes no more frames", "stream", w.l.cfg.frameStream(), "error", err)
	}
	w.notify()
}

// Acked is the highest sequence known durable.
func (l *Log) Acked() uint64 { return l.w.acked.Load() }

// InFlight is how many frames are not yet acknowledged.
func (l *Log) InFlight() int {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return len(l.w.queue) - l.w.head
}

// Wait returns when frame seq is durable.
func (l *Log) Wait(ctx context.Context, seq uint64) error {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.acked.Load() < seq {
		if w.err != nil {
			return fmt.Errorf("wait for frame %d: %w", seq, w.err)
		}
		if err := w.await(ctx); err != nil {
			return fmt.Errorf("wait for frame %d: %w", seq, err)
		}
	}
	return nil
}

func (w *writer) standing() (inFlight int, full bool, blocked string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) - w.head, w.full, w.blocked
}
