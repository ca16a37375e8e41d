package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var errLost = errors.New("the connection was lost")

// link is one connection to the server. A request that is under way when the connection is lost ends at once: its answer will not come.
type link struct {
	nc *nats.Conn
	js jetstream.JetStream

	mu    sync.Mutex
	calls map[uint64]context.CancelCauseFunc
	last  uint64
}

// connect makes one connection. Nothing is buffered while it is down: what was sent and not acknowledged is settled by reading the stream.
// lost and back are called when it is; nil: nobody cares.
func (l *Log) connect(role string, lost, back func()) (*link, error) {
	k := &link{calls: map[uint64]context.CancelCauseFunc{}}
	opts := []nats.Option{
		nats.Name("crossfade " + l.cfg.Name + " " + role),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a password may come back too
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(10 * time.Second),
		nats.Timeout(5 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				l.log.Warn("connection to the stream lost", "role", role, "error", err)
			}
			k.cut()
			if lost != nil {
				lost()
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			l.log.Info("connection to the stream is back", "role", role)
			if back != nil {
				back()
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			l.log.Warn("stream connection", "role", role, "error", err)
		}),
	}
	url := l.cfg.URL
	if l.srv != nil {
		opts = append(opts, nats.InProcessServer(l.srv.srv))
		url = ""
	}
	var err error
	if k.nc, err = nats.Connect(url, opts...); err != nil {
		return nil, fmt.Errorf("connect to the stream at %s: %w: check stream.url and that the server runs", l.cfg.where(), err)
	}
	if k.js, err = jetstream.New(k.nc); err != nil {
		k.nc.Close()
		return nil, fmt.Errorf("connect to the stream at %s: %w", l.cfg.where(), err)
	}
	return k, nil
}

// call bounds one request by time and by the life of the connection.
func (k *link) call(ctx context.Context, timeout time.Duration) (context.Context, func()) {
	ctx, end := context.WithTimeout(ctx, timeout)
	ctx, cancel := context.WithCancelCause(ctx)
	k.mu.Lock()
	k.last++
	n := k.last
	k.calls[n] = cancel
	k.mu.Unlock()
	return ctx, func() {
		k.mu.Lock()
		delete(k.calls, n)
		k.mu.Unlock()
		cancel(nil)
		end()
	}
}

func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, cancel := range k.calls {
		cancel(errLost)
	}
}

// explain names the loss of the connection where a request only says that it was canceled.
func explain(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errLost) || errors.Is(err, nats.ErrReconnectBufExceeded) {
		return errLost
	}
	return err
}
