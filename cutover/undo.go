package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

type abortedEvidence struct {
	Reason       string `json:"reason"`
	WritePauseMS int64  `json:"write_pause_ms"` // from the fence to the source open again
	Freed        int    `json:"connections_ended,omitempty"`
	// ClientPauseMS is from the first PAUSE of a pooler to all of them resumed.
	ClientPauseMS int64 `json:"client_pause_ms,omitempty"`
}

// undo runs the acts that end an attempt. They use the context that outlives a request to stop.
func (r *run) undo(a protocol.Act) (protocol.Outcome, error) {
	ctx, cancel := context.WithTimeout(r.after, 15*time.Second)
	defer cancel()
	switch a {
	case protocol.Quit, protocol.Yield:
		r.release() // whoever waits for DDL goes on
		r.begin(protocol.Undo)
		if r.cause == nil {
			r.cause = fmt.Errorf("the opening of the %s was given up", r.m.to)
		}
		return r.do(ctx, a, Call{Reason: r.cause.Error()})
	case protocol.Raise:
		return r.do(ctx, a, Call{})
	case protocol.Reopen:
		return r.reopen(ctx)
	case protocol.Resume:
		return r.say(a, func() error { return errors.Join(r.unpauseAll(ctx), r.m.stream.Resume(ctx)) }, "let clients of poolers go on, and start an applier with a new token")
	case protocol.Disarm:
		return r.say(a, func() error { return r.m.leaving.Uninstall(ctx, r.epoch) }, "remove the gate triggers")
	case protocol.End:
		if r.cause != nil {
			r.finish(protocol.Undo, OutcomeDone, abortedEvidence{r.cause.Error(), r.undonePause.Milliseconds(), r.freed, r.heldBack.Milliseconds()})
		} else {
			r.finish(protocol.Undo, OutcomeDone, abortedEvidence{Reason: r.record.Reason})
		}
		return r.do(ctx, a, Call{})
	case protocol.Refence:
		out, err := r.do(ctx, a, Call{Record: Record{Instance: r.m.instance}})
		if out != protocol.Done {
			return out, err
		}
		if _, err := r.m.leaving.Install(ctx, r.epoch); err != nil {
			return protocol.Failed, fmt.Errorf("close the %s again after a failover: %w", r.m.from, err)
		}
		return protocol.Done, nil
	default:
		return protocol.Refused, fmt.Errorf("act %q does not end an attempt", a)
	}
}

// reopen opens the gate. A client whose write was refused may sit in its transaction and keep the gate's row locked; it has written
// nothing, or the fence would have waited for it. After one lock timeout such connections are ended.
func (r *run) reopen(ctx context.Context) (protocol.Outcome, error) {
	out, err := r.do(ctx, protocol.Reopen, Call{})
	if errors.Is(err, ErrBusy) {
		n, freeErr := r.m.leaving.Free(ctx)
		r.freed += n
		return protocol.Failed, errors.Join(err, freeErr)
	}
	if out == protocol.Done {
		r.reopened = true
		if !r.closed.IsZero() {
			r.undonePause = time.Since(r.closed)
		}
	}
	return out, err
}

func (r *run) say(a protocol.Act, f func() error, what string) (protocol.Outcome, error) {
	if err := r.edge(string(a) + ":before"); err != nil {
		return protocol.Failed, err
	}
	err := f()
	if e := r.edge(string(a) + ":after"); e != nil {
		return protocol.Failed, errors.Join(e, err)
	}
	if err != nil {
		return protocol.Failed, fmt.Errorf("%s: %w", what, err)
	}
	return protocol.Done, nil
}
