package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// readers are the sessions for reading rows: a small pool, so that reading in parallel costs the source little.
type readers struct {
	source *Source
	slots  chan struct{}

	mu     sync.Mutex
	idle   []idleWire
	closed bool
}

type idleWire struct {
	*wire
	since time.Time
}

func newReaders(s *Source, n int) *readers {
	return &readers{source: s, slots: make(chan struct{}, n)}
}

// with runs f with a session of its own, whose statements may each be silent for timeout. When ctx ends the session is killed, on the server too: a
// query that has sent nothing yet would not notice that nobody listens.
func (r *readers) with(ctx context.Context, timeout time.Duration, f func(*wire) error) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.slots }()
	w, err := r.take(ctx)
	if err != nil {
		return err
	}
	w.timeout = timeout
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		w.close()
		r.kill(ctx, w.id)
	})
	err = f(w)
	if !stop() {
		<-killed
		if err != nil {
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		return nil
	}
	if err != nil || w.dirty { // also what a statement left open ends with the session
		w.close()
		return err
	}
	r.give(w)
	return nil
}

func (r *readers) take(ctx context.Context) (*wire, error) {
	for {
		r.mu.Lock()
		n := len(r.idle)
		if n == 0 {
			r.mu.Unlock()
			return r.open(ctx)
		}
		w := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		if time.Since(w.since) < 10*time.Second {
			return w.wire, nil
		}
		w.timeout = connectTimeout
		if w.exec("DO 0") == nil {
			return w.wire, nil
		}
		w.close() // it died while it was idle
	}
}

func (r *readers) give(w *wire) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		w.close()
		return
	}
	r.idle = append(r.idle, idleWire{w, time.Now()})
}

func (r *readers) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.forget()
}

// forget ends the sessions that nobody uses.
func (r *readers) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.idle {
		w.close()
	}
	r.idle = nil
}

func (r *readers) open(ctx context.Context) (*wire, error) {
	w, err := dialWire(ctx, r.source.cfg, connectTimeout)
	if err != nil {
		return nil, err
	}
	set := []byte("SET net_write_timeout = 3600, net_read_timeout = 600")
	if !r.source.mariadb() {
		set = append(set, ", range_optimizer_max_mem_size = 0"...) // a key list is never too long for the index
	}
	for name, value := range r.source.cfg.sessionVariables(readMode) {
		set = append(append(append(append(set, ", "...), name...), " = "...), value...)
	}
	// Without a character set for results the server sends the bytes of the column.
	for _, stmt := range []string{"SET NAMES " + sessionCharset, "SET character_set_results = NULL", string(set), "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"} {
		if err := w.exec(stmt); err != nil {
			w.close()
			return nil, fmt.Errorf("prepare a session on %s: %w", r.source.cfg.Host, err)
		}
	}
	return w, nil
}

// kill ends a session on the server.
func (r *readers) kill(ctx context.Context, id uint32) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := r.source.db.ExecContext(ctx, fmt.Sprintf("KILL %d", id)); err != nil && !isServerError(err, erNoSuchThread) {
		r.source.log.LogAttrs(ctx, slog.LevelDebug, "kill session", slog.Uint64("session", uint64(id)), slog.Any("err", err))
	}
}
