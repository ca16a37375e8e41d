package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/capture"
)

// dump is the connection that the server sends its log over. The library's parser is used for nothing but the frame of the protocol: events come
// through as bytes (raw mode) and wait in a queue bounded in bytes, from which the reader of the tail takes them.
type dump struct {
	syncer *replication.BinlogSyncer
	done   context.CancelFunc // ends watch
	wg     sync.WaitGroup
	ended  chan struct{} // the library reads no more

	mu      sync.Mutex
	conn    net.Conn
	closed  bool
	queue   [][]byte // events that have arrived
	size    int      // their bytes
	err     error    // why there will be no more
	arrived chan struct{}
	room    chan struct{}

	batch [][]byte // events that the reader has taken; batch[at:] are unread
	at    int
}

const (
	// queueBytes bounds what waits between the network and the decoder. One larger event passes alone.
	queueBytes = 4 << 20

	defaultHeartbeat   = time.Second
	defaultReadTimeout = 35 * time.Second
	// patience is how long the server shall wait for a reader that is held up by a full stream, before it ends the connection.
	patience = 24 * time.Hour
)

// openDump asks the server for its log from a position on.
func openDump(ctx context.Context, cfg Config, from *position, log *slog.Logger) (*dump, error) {
	if cfg.ServerID == 0 {
		return nil, errors.New("read the binlog: no server id is configured")
	}
	d := &dump{arrived: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
	sc := replication.BinlogSyncerConfig{
		ServerID:                cfg.ServerID,
		Flavor:                  gomysql.MySQLFlavor,
		Host:                    cfg.Host, // with its port
		User:                    cfg.User,
		Password:                cfg.Password,
		Localhost:               "crossfade",
		TLSConfig:               cfg.TLS,
		RawModeEnabled:          true,
		VerifyChecksum:          true,
		DisableRetrySync:        true, // it would send the interrupted transaction again
		DiscardGTIDSet:          true,
		HeartbeatPeriod:         orDefault(cfg.Heartbeat, defaultHeartbeat),
		ReadTimeout:             orDefault(cfg.ReadTimeout, defaultReadTimeout),
		EventCacheCount:         1,
		SynchronousEventHandler: d,
		Logger:                  slog.New(demoted{log.Handler()}),
		Dialer:                  d.dial,
		Option: func(c *client.Conn) error {
			_, err := c.Execute(fmt.Sprintf("SET SESSION net_write_timeout = %d", int(patience.Seconds())))
			return err
		},
	}
	d.syncer = replication.NewBinlogSyncer(sc)
	// The library takes no context: ending it closes the connection under its hands.
	stop := context.AfterFunc(ctx, d.hangUp)
	streamer, err := d.start(from)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		d.close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, classifyDumpError(err, from)
	}
	watch, cancel := context.WithCancel(context.Background())
	d.done = cancel
	d.wg.Go(func() {
		// With a handler the streamer carries nothing but the error that ends it.
		_, err := streamer.GetEvent(watch)
		d.fail(classifyDumpError(err, from))
		close(d.ended)
	})
	return d, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func (d *dump) start(from *position) (*replication.BinlogStreamer, error) {
	if from.byFile {
		if from.pos > math.MaxUint32 {
			return nil, fmt.Errorf("the offset %d in %s is beyond what the protocol can name; use gtid_mode=ON", from.pos, from.file)
		}
		return d.syncer.StartSync(gomysql.Position{Name: from.file, Pos: uint32(from.pos)})
	}
	set, err := gomysql.ParseMysqlGTIDSet(from.set.String())
	if err != nil {
		return nil, err
	}
	return d.syncer.StartSyncGTID(set)
}

// dial connects, and remembers the connection so that it can be closed. When the tail is closed the library asks for another connection, to kill the
// session: there is no need, the server notices with its next heartbeat.
func (d *dump) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	d.conn = conn
	return conn, nil
}

func (d *dump) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.conn != nil {
		d.conn.Close()
	}
	signal(d.room)
}

// HandleEvent takes an event from the library; it waits while the queue is full.
func (d *dump) HandleEvent(e *replication.BinlogEvent) error {
	d.mu.Lock()
	for d.size > 0 && d.size+len(e.RawData) > queueBytes && !d.closed {
		d.mu.Unlock()
		<-d.room
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.queue = append(d.queue, e.RawData)
	d.size += len(e.RawData)
	signal(d.arrived)
	return nil
}

func (d *dump) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
	signal(d.arrived)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next returns the next event, which belongs to the caller. When ctx ends first nothing is lost.
func (d *dump) next(ctx context.Context) ([]byte, error) {
	for d.at == len(d.batch) {
		clear(d.batch)
		d.mu.Lock()
		d.batch, d.queue, d.at, d.size = d.queue, d.batch[:0], 0, 0
		err := d.err
		d.mu.Unlock()
		signal(d.room)
		switch {
		case len(d.batch) > 0:
			continue
		case err != nil:
			return nil, err
		}
		select {
		case <-d.arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	raw := d.batch[d.at]
	d.batch[d.at] = nil
	d.at++
	return raw, nil
}

// close ends the connection and waits for its goroutines.
func (d *dump) close() {
	d.hangUp()
	if d.done != nil {
		select { // closing the library's connection while it reads from it is a race there
		case <-d.ended:
		case <-time.After(5 * time.Second):
		}
	}
	d.syncer.Close()
	if d.done != nil {
		d.done()
	}
	d.wg.Wait()
}

// lostError is a connection that is gone. It does not unwrap: a caller that waits with a deadline must never take a timeout of the network for its own.
type lostError struct{ err error }

func (e *lostError) Error() string { return fmt.Sprintf("the binlog connection was lost: %v", e.err) }

// erReadingBinlog: the server cannot send its log from the position asked for.
const erReadingBinlog = 1236

func classifyDumpError(err error, from *position) error {
	var e *gomysql.MyError
	if !errors.As(err, &e) {
		return &lostError{err}
	}
	stop := &capture.Stop{Position: from.String(), Object: "binlog", Reason: fmt.Sprintf("the server refuses to send it: %s (error %d)", e.Message, e.Code)}
	switch e.Code {
	case erAccessDenied:
		stop.Remedy = "check user and password of source.url, and resume"
	case erPrivilegeNeeded:
		stop.Remedy = "GRANT REPLICATION SLAVE ON *.* to the user of source.url, and resume"
	case erReadingBinlog:
		if strings.Contains(e.Message, "same server_") { // another connection of ours took over, or a replica has our number
			return &lostError{err}
		}
		stop.Remedy = "if the binlog was purged, renamed or damaged the changes since are lost to this migration: keep it longer (binlog_expire_logs_seconds) and start again with a new snapshot"
	default:
		return &lostError{err}
	}
	return stop
}

// demoted passes the library's log on as debug messages: what matters of it comes back as an error. Its configuration, with functions and a
// TLS key, is left out.
type demoted struct{ slog.Handler }

func (h demoted) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h demoted) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, slog.LevelDebug, "binlog: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "config" {
			out.AddAttrs(a)
		}
		return true
	})
	return h.Handler.Handle(ctx, out)
}

func (h demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{h.Handler.WithAttrs(attrs)}
}
func (h demoted) WithGroup(name string) slog.Handler { return demoted{h.Handler.WithGroup(name)} }
