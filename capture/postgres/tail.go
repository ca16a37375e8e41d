package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// tail turns the messages of the log into row changes and commits.
//
// Rows are decoded one at a time, when they are asked for, and live in buffers that the next call uses again: nothing is allocated for a row. What has not
// been asked for waits in the buffers of the network and on the server, so a full stream holds the server's sender, not our memory.
type tail struct {
	source *Source
	tables map[string]*catalog.Table // by schema.table
	conn   *pgconn.PgConn
	reply  sync.Mutex // of what is sent on conn
	held   atomic.Uint64
	told   atomic.Uint64 // what the server was last told that it may forget
	much   chan struct{} // it may forget much more
	ended  chan struct{}
	keeper sync.WaitGroup
	// heard is when the last message came, in nanoseconds since 1970; mute: too long ago.
	heard atomic.Int64
	mute  atomic.Bool
	// guarding ends the watch over the caller's time, which is known by the channel guardedBy.
	guarding  func() bool
	guardedBy <-chan struct{}
	// watched are the tables as they were when the tail began; altered is the first that is another now.
	watched []*catalog.Table
	altered atomic.Pointer[alteration]

	relations map[uint32]*logged
	pos       position
	skip      uint64 // rows of the next transaction that have been returned before
	tx        transaction
	truncated []*logged // of the message being read

	msg     message
	before  change.Row
	after   change.Row
	scratch []byte
	event   capture.Event
	beaten  time.Time // when the log was last pushed on
	failed  error
}

// transaction is what is known of the transaction being read.
type transaction struct {
	open bool
	lsn  uint64 // of its commit record
	xid  uint32
	time int64
	rows uint64
	own  bool // an applier of ours has made it: its rows are nobody's
}

const (
	// statusEvery is how often the server hears from us, also while nobody asks for the next event: it must be well below wal_sender_timeout.
	statusEvery = 5 * time.Second
	watchEvery  = 5 * time.Second
	// silence is after how long a server that says nothing is given up; it sends a keepalive at half of its wal_sender_timeout at the latest.
	silence     = 90 * time.Second
	keepScratch = 1 << 20
	// tellBytes is after how much more that it may forget the server hears from us at once.
	tellBytes = 4 << 20
	// epoch2000 is 2000-01-01 in microseconds since 1970.
	epoch2000 = 946684800_000_000
)

// Tail reads the log from a position. tables are the versions of the selected tables in force there.
func (s *Source) Tail(ctx context.Context, from string, tables []*catalog.Table) (capture.Tail, error) {
	at, err := parsePosition(from)
	if err != nil {
		return nil, err
	}
	if err := s.Contains(ctx, from); err != nil {
		return nil, err
	}
	t := &tail{source: s, tables: map[string]*catalog.Table{}, ended: make(chan struct{}), much: make(chan struct{}, 1), relations: map[uint32]*logged{}, pos: at, skip: at.row}
	for _, c := range tables {
		t.tables[c.String()] = c
	}
	t.watched = tables
	if err := t.released(ctx); err != nil {
		return nil, err
	}
	if err := t.connect(ctx); err != nil {
		return nil, err
	}
	t.heard.Store(time.Now().UnixNano())
	s.seen.begin(at.lsn)
	t.keeper.Go(t.keep)
	return t, nil
}

// released begins with what the server was last told that it may forget, by an earlier tail: that we go on at a place does not say that everything before it may go.
func (t *tail) released(ctx context.Context) error {
	var text string
	err := t.source.pool.QueryRow(ctx, "SELECT coalesce(confirmed_flush_lsn, restart_lsn)::text FROM pg_replication_slots WHERE slot_name = $1", t.source.slot()).Scan(&text)
	if err != nil {
		return fmt.Errorf("ask %s what it may forget: %w", t.source.host(), err)
	}
	lsn, err := parseLSN(text)
	t.held.Store(min(lsn, t.pos.lsn))
	return err
}

func (t *tail) connect(ctx context.Context) (err error) {
	if t.conn, err = t.source.replication(ctx); err != nil {
		return err
	}
	if err := t.source.same(ctx, t.conn); err != nil {
		return errors.Join(err, t.conn.Close(context.WithoutCancel(ctx)))
	}
	err = pglogrepl.StartReplication(ctx, t.conn, t.source.slot(), pglogrepl.LSN(t.pos.lsn), pglogrepl.StartReplicationOptions{Mode: pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names '" + strings.ReplaceAll(t.source.slot(), "'", "''") + "'"}})
	if err == nil {
		return nil
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = t.conn.Close(closing) // it is of no use
	const inUse = "55006"
	if pgCode(err) == inUse { // the session of a process that was killed, until the server notices
		return fmt.Errorf("read the log of %s: the slot is still in use: %w", t.source.host(), err)
	}
	return t.refused(err)
}

// refused tells what only a person can mend from a lost connection.
func (t *tail) refused(err error) error {
	switch pgCode(err) {
	case "":
		return fmt.Errorf("the connection to the log was lost: %w", err)
	case "42501", "28000", "28P01":
		return t.stop("replication", fmt.Sprintf("the server refuses it: %v", err), "ALTER ROLE "+t.source.conn.User+" REPLICATION, check pg_hba.conf, and resume")
	case "55000", "42704", "58P01": // invalidated, dropped, its log removed
		return t.stop("replication slot "+t.source.slot(), fmt.Sprintf("the log cannot be read from it any more: %v", err), "start the migration again with a new snapshot")
	default:
		return fmt.Errorf("read the log of %s: %w", t.source.host(), err)
	}
}

// keep tells the server regularly that we are there and what it may forget, and looks whether the tables are what they were.
func (t *tail) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	defer func() {
		cancel()
		watch.Wait()
	}()
	watch.Go(func() { t.watch(ctx) })
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ended:
			return
		case <-t.much:
		case <-tick.C:
			if time.Since(time.Unix(0, t.heard.Load())) > silence {
				t.mute.Store(true)
				_ = t.conn.Conn().Close() // the reader meets it
				return
			}
		}
		if err := t.status(t.altered.Load() != nil); err != nil {
			return // the reader meets it too
		}
	}
}

// status says what the server may forget: never 0, and never what has only been delivered. The server answers at once if it is asked to.
func (t *tail) status(answer bool) error {
	t.reply.Lock()
	defer t.reply.Unlock()
	t.told.Store(t.held.Load())
	return pglogrepl.SendStandbyStatusUpdate(context.Background(), t.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: pglogrepl.LSN(t.held.Load()), ReplyRequested: answer})
}

// watch looks every few seconds whether each table is still what it was. The log says so only with the next row of it, which for a table that was dropped
// never comes.
func (t *tail) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for t.altered.Load() == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		known := make(map[string]bool, len(t.watched))
		for _, w := range t.watched {
			known[w.String()] = true
		}
		now, err := t.source.Catalog(ctx, func(schema, table string) bool { return known[schema+"."+table] })
		if err != nil { // the reader meets a server that has gone; a privilege that was taken away it does not meet
			if ctx.Err() == nil {
				t.source.log.Warn("cannot look whether the tables are what they were, trying again", "err", err)
			}
			continue
		}
		t.altered.Store(difference(t.watched, now))
	}
}

// alteration is a table that is not what it was.
type alteration struct{ table, reason string }

func difference(was, now []*catalog.Table) *alteration {
	found := make(map[string]*catalog.Table, len(now))
	for _, n := range now {
		found[n.String()] = n
	}
	for _, w := range was {
		n := found[w.String()]
		if n == nil {
			return &alteration{w.String(), "it was dropped, or has another name now"}
		}
		if len(n.Columns) != len(w.Columns) {
			return &alteration{w.String(), fmt.Sprintf("it has %d columns, and had %d", len(n.Columns), len(w.Columns))}
		}
		for i := range w.Columns {
			a, b := &w.Columns[i], &n.Columns[i]
			if a.Name != b.Name || a.Type.Full != b.Type.Full || (a.Generated == "") != (b.Generated == "") {
				return &alteration{w.String(), fmt.Sprintf("its column %s of type %s is now %s of type %s", a.Name, a.Type.Full, b.Name, b.Type.Full)}
			}
		}
	}
	return nil
}

// Release says that everything up to a position is durable elsewhere.
func (t *tail) Release(position string) {
	p, err := parsePosition(position)
	if err != nil || p.lsn <= t.held.Load() {
		return
	}
	t.held.Store(p.lsn)
	if p.lsn-t.told.Load() > tellBytes {
		select {
		case t.much <- struct{}{}:
		default: // it is being told
		}
	}
}

// Place is where a new tail goes on after the last event returned.
func (t *tail) Place() string { return t.pos.String() }

// Close ends the session. The server is told once more what it may forget, which is lost with a connection that breaks: it then forgets it later.
func (t *tail) Close() error {
	if t.failed == nil || !errors.Is(t.failed, errClosed) {
		close(t.ended)
		t.keeper.Wait()
		_ = t.status(false) // the connection may be gone
		t.unguard()
	}
	t.failed = errClosed
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.conn.Close(ctx) // however it ends, nothing is lost
	return nil
}

var errClosed = errors.New("read the log: the tail is closed")

// Next returns the next event. An error of ctx leaves the tail as it is; any other ends it.
func (t *tail) Next(ctx context.Context) (*capture.Event, error) {
	if t.failed != nil {
		return nil, t.failed
	}
	for {
		ready, err := t.step(ctx)
		switch {
		case err == nil && ready:
			return &t.event, nil
		case err == nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
		case ctx.Err() != nil:
			return nil, ctx.Err()
		default:
			t.failed = err
			return nil, err
		}
	}
}

// guard ends reading when ctx ends. It is made once for all calls with one context: a context and a watch for each message would cost more than the message.
func (t *tail) guard(ctx context.Context) {
	if t.guarding != nil && t.guardedBy == ctx.Done() {
		return
	}
	t.unguard()
	nc := t.conn.Conn()
	t.guardedBy = ctx.Done()
	t.guarding = context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) }) // a connection that is gone has ended reading
}

func (t *tail) unguard() {
	if t.guarding != nil {
		t.guarding()
	}
	t.guarding, t.guardedBy = nil, nil
	_ = t.conn.Conn().SetReadDeadline(time.Time{}) // likewise
}

// step reads one thing: a table that was emptied, or a message.
func (t *tail) step(ctx context.Context) (bool, error) {
	if len(t.truncated) > 0 {
		l := t.truncated[0]
		t.truncated = t.truncated[1:]
		return t.truncate(l)
	}
	if a := t.altered.Load(); a != nil && !t.tx.open {
		return false, t.stop(a.table, a.reason, "undo the change of the table, or start the migration again")
	}
	t.guard(ctx)
	m, err := t.conn.Frontend().Receive()
	switch {
	case err == nil:
		t.heard.Store(time.Now().UnixNano())
	case t.mute.Load():
		return false, fmt.Errorf("the connection to the log was lost: nothing was heard for %s", silence)
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return false, t.refused(err)
	default: // the caller's time is over, or an earlier caller's, late; what was read of a message is kept
		t.unguard()
		return false, ctx.Err()
	}
	switch m := m.(type) {
	case *pgproto3.CopyData:
		return t.data(ctx, m.Data)
	case *pgproto3.ErrorResponse:
		return false, t.refused(pgconn.ErrorResponseToPgError(m))
	case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		return false, nil
	default:
		return false, fmt.Errorf("the connection to the log was lost: the server sends %T", m)
	}
}

func (t *tail) data(ctx context.Context, b []byte) (bool, error) {
	if len(b) == 0 {
		return false, t.damaged(errShort)
	}
	switch b[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(b[1:])
		if err != nil {
			return false, t.damaged(err)
		}
		return t.alive(ctx, k.ReplyRequested)
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(b[1:])
		if err != nil {
			return false, t.damaged(err)
		}
		if err := t.msg.parse(x.WALData); err != nil {
			return false, t.damaged(err)
		}
		return t.handle(ctx)
	default:
		return false, t.damaged(fmt.Errorf("data of kind %q", b[0]))
	}
}

// alive answers a keepalive. The end of the log that it names is no progress: transactions that end before it may still come. A log that has long been
// silent is pushed on by a commit of our own.
func (t *tail) alive(ctx context.Context, reply bool) (bool, error) {
	if reply {
		if err := t.status(false); err != nil {
			return false, fmt.Errorf("the connection to the log was lost: %w", err)
		}
	}
	if now := time.Now(); !t.tx.open && now.Sub(t.beaten) >= t.source.cfg.Heartbeat {
		t.beaten = now
		if err := t.source.Heartbeat(ctx); err != nil && ctx.Err() == nil {
			t.source.log.Warn("push the log of an idle source on; it keeps its log until that succeeds", "err", err)
		}
	}
	t.event = capture.Event{Kind: capture.Alive}
	return !t.tx.open, nil
}

func (t *tail) stop(object, reason, remedy string) error {
	return &capture.Stop{Position: t.Place(), Object: object, Reason: reason, Remedy: remedy}
}

func (t *tail) damaged(err error) error {
	return t.stop("log", fmt.Sprintf("it cannot be read (behind %s): %v", lsnText(t.pos.lsn), err), "resume to read it again; if that does not help the server is of a version that this one does not know")
}
