package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// markerTable is the table of ownSchema whose inserts are returned.
const markerTable = "marker"

// Tail reads the binlog from a position. tables are the versions of the selected tables in force there.
func (s *Source) Tail(ctx context.Context, from string, tables []*catalog.Table) (capture.Tail, error) {
	at, err := parsePosition(from)
	if err != nil {
		return nil, err
	}
	var past []domainGTID
	if s.mariadb() {
		if at, past, err = s.here(ctx, at); err != nil {
			return nil, err
		}
	}
	t := newTail(tailConfig{migration: s.cfg.Migration, mariadb: s.mariadb(), selected: s.cfg.Selected, log: s.log}, at, tables)
	t.past = past
	if t.collations, err = readCollations(ctx, s.db); err != nil {
		return nil, fmt.Errorf("read the binlog: collations: %w", err)
	}
	if t.fold, err = foldsNames(ctx, s.db); err != nil {
		return nil, fmt.Errorf("read the binlog: lower_case_table_names: %w", err)
	}
	if s.mariadb() {
		if t.sequences, err = readSequences(ctx, s.db); err != nil {
			return nil, fmt.Errorf("read the binlog: sequences: %w", err)
		}
	}
	if t.feed, err = openDump(ctx, s.cfg, identified{s.identityQuery(), s.expected()}, &at, s.log); err != nil {
		return nil, err
	}
	return t, nil
}

type tailConfig struct {
	migration string
	mariadb   bool
	selected  func(schema, table string) bool
	log       *slog.Logger
}

// feed gives the events of the log. Each is valid until the next is asked for.
type feed interface {
	next(ctx context.Context) ([]byte, error)
	close()
}

// tail turns the events of the log into row changes and commits.
//
// Rows are decoded one at a time, when they are asked for, and live in buffers that the next call uses again: nothing is allocated for a row.
type tail struct {
	cfg        tailConfig
	feed       feed
	collations map[uint64]string // character set by number of collation
	fold       bool              // the server does not tell names apart by case

	tables  map[name]*catalog.Table
	schemas map[string]bool
	// sequences of MariaDB: their rows are nobody's.
	sequences map[name]bool

	checksum bool   // events carry one
	version  int    // of the server that wrote the file: 90700
	filePos  uint64 // offset behind the last event, with byFile
	file     string

	described map[uint64]*loggedTable // by number; see statement
	statement uint64                  // counts statements: a description is valid in the one it was made for

	pos  position // behind the last event returned
	skip uint64   // rows of the next transaction that have been returned before
	// past are transactions of MariaDB, the last ones read of their domains, that come again; what comes before each has been read.
	past []domainGTID
	tx   transaction

	rows    rowsEvent
	payload payload
	// unpacked is the event that MariaDB had compressed, while its rows are read.
	unpacked []byte
	before   change.Row
	after    change.Row
	scratch  []byte

	event  capture.Event
	ending bool // the transaction's commit is next
	failed error
}

// transaction is what is known of the transaction being read.
type transaction struct {
	started  bool // its GTID event has been read
	open     bool // BEGIN has been read
	id       gtid
	domain   domainGTID // of MariaDB
	time     int64
	again    bool   // it has been read before
	own      bool   // an applier of ours has made it: its rows are nobody's
	rows     uint64 // rows read, whatever their table
	touched  bool   // some of them of selected tables
	xid      string // of XA START
	settled  string // of XA COMMIT or XA ROLLBACK
	prepared string // of XA PREPARE
}

const (
	// keepScratch: a larger buffer is not kept for the next row.
	keepScratch = 1 << 20
	// maxDescribed bounds the table descriptions that are kept.
	maxDescribed = 8192
)

func newTail(cfg tailConfig, at position, tables []*catalog.Table) *tail {
	t := &tail{cfg: cfg, pos: at.clone(), skip: at.row, filePos: at.pos, file: at.file,
		tables: map[name]*catalog.Table{}, schemas: map[string]bool{}, sequences: map[name]bool{}, described: map[uint64]*loggedTable{}}
	for _, c := range tables {
		t.tables[name{c.Schema, c.Name}] = c
		t.schemas[c.Schema] = true
	}
	return t
}

// Place is where a new tail goes on after the last event returned.
func (t *tail) Place() string { return t.pos.String() }

// Release does nothing: a binlog is kept for as long as the server is told to, whoever reads it.
func (t *tail) Release(string) {}

func (t *tail) Close() error {
	t.payload.close()
	if t.feed != nil {
		t.feed.close()
	}
	t.failed = errors.New("read the binlog: the tail is closed")
	return nil
}

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
		case err == nil && ctx.Err() != nil: // what is passed over may be long
			return nil, ctx.Err()
		case err == nil:
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return nil, err
		default:
			t.failed = err
			return nil, err
		}
	}
}

// step reads one thing: a row, an event inside a compressed transaction, or an event. It reports whether t.event is to be returned.
func (t *tail) step(ctx context.Context) (bool, error) {
	switch {
	case t.ending:
		return t.commit()
	case len(t.rows.data) > 0:
		return t.row()
	case t.payload.active():
		return t.unpack()
	}
	raw, err := t.feed.next(ctx)
	if err != nil {
		return false, err
	}
	if len(raw) > 4 && replication.EventType(raw[4]) == replication.FORMAT_DESCRIPTION_EVENT {
		t.checksum = hasChecksum(raw)
	}
	e, err := parseEvent(raw, t.checksum)
	if err != nil {
		return false, t.damaged(err)
	}
	if t.cfg.mariadb && e.end == 0 && !e.artificial() && t.tx.started {
		// From 11.4 on events inside a transaction do not say where they end.
		t.filePos += uint64(e.size)
	}
	inFile := e.end != 0 && !e.artificial() && e.typ != replication.HEARTBEAT_EVENT && e.typ != replication.HEARTBEAT_LOG_EVENT_V2
	if inFile {
		// Offsets in the log have 32 bits. A transaction can make a file longer.
		end := t.filePos&^0xffffffff | uint64(e.end)
		if end < t.filePos {
			end += 1 << 32
		}
		t.filePos = end
	}
	ready, err := t.handle(&e)
	if err == nil && inFile && t.pos.byFile && !t.tx.started {
		t.pos.pos = t.filePos // between transactions
	}
	return ready, err
}

// unpack reads the next event of a compressed transaction.
func (t *tail) unpack() (bool, error) {
	raw, err := t.payload.next()
	if errors.Is(err, io.EOF) {
		if t.tx.open {
			return false, t.damaged(errors.New("a compressed transaction has no end"))
		}
		return false, nil
	}
	if err != nil {
		return false, t.damaged(err)
	}
	e, err := parseEvent(raw, false)
	if err != nil {
		return false, t.damaged(err)
	}
	switch e.typ {
	case replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT, replication.TRANSACTION_PAYLOAD_EVENT,
		replication.ROTATE_EVENT, replication.FORMAT_DESCRIPTION_EVENT:
		return false, t.damaged(fmt.Errorf("%s inside a compressed transaction", e.typ))
	}
	return t.handle(&e)
}

// handle judges an event. Whatever is not known here stops.
func (t *tail) handle(e *event) (bool, error) {
	switch e.typ {
	case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		t.event = capture.Event{Kind: capture.Alive}
		return true, nil
	case replication.FORMAT_DESCRIPTION_EVENT:
		return false, t.format(e)
	case replication.ROTATE_EVENT:
		return false, t.rotate(e)
	case replication.STOP_EVENT, replication.PREVIOUS_GTIDS_EVENT:
		return false, t.between(e)
	case replication.MARIADB_GTID_LIST_EVENT, replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_START_ENCRYPTION_EVENT:
		return false, t.between(e) // the server sends what is encrypted in clear
	case replication.MARIADB_ANNOTATE_ROWS_EVENT:
		return false, nil // a comment
	case replication.MARIADB_GTID_EVENT:
		return false, t.startMariaDB(e)
	case replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT:
		start, err := parseGTIDEvent(e.body, e.typ == replication.ANONYMOUS_GTID_EVENT)
		return false, t.start(e, start, err)
	case replication.GTID_TAGGED_LOG_EVENT:
		start, err := parseTaggedGTIDEvent(e.body)
		return false, t.start(e, start, err)
	case replication.ROWS_QUERY_EVENT, replication.IGNORABLE_EVENT, replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT:
		return false, nil // comments, and what members of a group tell each other: no rows
	}
	if t.tx.again {
		return false, t.pass(e)
	}
	if !t.tx.started {
		return false, t.stop("binlog", fmt.Sprintf("it has a %s outside a transaction", e.typ),
			"the server is older than MySQL 5.7, or the binlog is damaged: start again with a new snapshot")
	}
	if t.tx.own && isOfRows(e.typ) {
		return false, nil
	}
	switch e.typ {
	case replication.QUERY_EVENT:
		return t.query(e)
	case replication.MARIADB_QUERY_COMPRESSED_EVENT, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1,
		replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return t.compressed(e)
	case replication.TABLE_MAP_EVENT:
		return false, t.describe(e)
	case replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT:
		return t.rowsEvent(e)
	case replication.TRANSACTION_PAYLOAD_EVENT:
		if t.tx.open {
			return false, t.damaged(errors.New("a compressed transaction inside another"))
		}
		if err := t.payload.open(e.body); err != nil {
			return false, t.damaged(err)
		}
		return false, nil
	case replication.XID_EVENT:
		if !t.tx.open {
			return false, t.damaged(errors.New("a commit without a beginning"))
		}
		t.ending = true
		return false, nil
	case replication.XA_PREPARE_LOG_EVENT:
		return false, t.prepare(e)
	case replication.INCIDENT_EVENT:
		return false, t.stop("binlog", "the source reports an incident: events were lost before they were logged",
			"start again with a new snapshot")
	case replication.INTVAR_EVENT, replication.RAND_EVENT, replication.USER_VAR_EVENT, replication.BEGIN_LOAD_QUERY_EVENT,
		replication.EXECUTE_LOAD_QUERY_EVENT, replication.APPEND_BLOCK_EVENT, replication.DELETE_FILE_EVENT:
		return false, t.statementFormat("a " + e.typ.String())
	default:
		return false, t.stop("binlog", fmt.Sprintf("it holds an event of type %d (%s), which this version does not know", e.typ, e.typ),
			"use a version of crossfade that knows this server; nothing has been skipped")
	}
}

func (t *tail) stop(object, reason, remedy string) error {
	return &capture.Stop{Position: t.Place(), Object: object, Reason: reason, Remedy: remedy}
}

// damaged is the Stop of a log that cannot be what the server wrote.
func (t *tail) damaged(err error) error {
	where := t.file
	if t.tx.started {
		where = "transaction " + t.tx.name(t)
	}
	return t.stop("binlog", fmt.Sprintf("it cannot be read (%s): %v", where, err),
		"resume to read it again; if that does not help it is damaged, or written by a server that this version does not know")
}

func (x *transaction) name(t *tail) string {
	if x.id.isZero() {
		return fmt.Sprintf("at %s:%d", t.file, t.pos.pos)
	}
	return x.id.String()
}

func (t *tail) statementFormat(what string) error {
	return t.stop("transaction "+t.tx.name(t), what+" was logged as a statement: which rows it changed is not in the log",
		"set binlog_format=ROW on the source for every session (SELECT ... FROM performance_schema.variables_by_thread), and start again with a new snapshot")
}
