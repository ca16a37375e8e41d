package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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
	t := newTail(tailConfig{migration: s.cfg.Migration, selected: s.cfg.Selected, log: s.log}, at, tables)
	if t.collations, err = readCollations(ctx, s.db); err != nil {
		return nil, fmt.Errorf("read the binlog: collations: %w", err)
	}
	if t.fold, err = foldsNames(ctx, s.db); err != nil {
		return nil, fmt.Errorf("read the binlog: lower_case_table_names: %w", err)
	}
	if t.feed, err = openDump(ctx, s.cfg, &at, s.log); err != nil {
		return nil, err
	}
	return t, nil
}

type tailConfig struct {
	migration string
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

	checksum bool   // events carry one
	version  int    // of the server that wrote the file: 90700
	filePos  uint64 // offset behind the last event, with byFile
	file     string

	described map[uint64]*loggedTable // by number; see statement
	statement uint64                  // counts statements: a description is valid in the one it was made for

	pos  position // behind the last event returned
	skip uint64   // rows of the next transaction that have been returned before
	tx   transaction

	rows    rowsEvent
	payload payload
	before  change.Row
	after   change.Row
	scratch []byte

	event  capture.Event
	ending bool // the transaction's commit is next
	failed error
}

// transaction is what is known of the transaction being read.
type transaction struct {
	started  bool // its GTID event has been read
	open     bool // BEGIN has been read
	id       gtid
	time     int64
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
		tables: map[name]*catalog.Table{}, schemas: map[string]bool{}, described: map[uint64]*loggedTable{}}
	for _, c := range tables {
		t.tables[name{c.Schema, c.Name}] = c
		t.schemas[c.Schema] = true
	}
	return t
}

// Place is where a new tail goes on after the last event returned.
func (t *tail) Place() string { return t.pos.String() }

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
	case replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT:
		start, err := parseGTIDEvent(e.body, e.typ == replication.ANONYMOUS_GTID_EVENT)
		return false, t.start(e, start, err)
	case replication.GTID_TAGGED_LOG_EVENT:
		start, err := parseTaggedGTIDEvent(e.body)
		return false, t.start(e, start, err)
	case replication.ROWS_QUERY_EVENT, replication.IGNORABLE_EVENT, replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT:
		return false, nil // comments, and what members of a group tell each other: no rows
	}
	if !t.tx.started {
		return false, t.stop("binlog", fmt.Sprintf("it has a %s outside a transaction", e.typ),
			"the server is older than MySQL 5.7, or the binlog is damaged: start again with a new snapshot")
	}
	switch e.typ {
	case replication.QUERY_EVENT:
		return t.query(e)
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

// between: the event may not stand inside a transaction.
func (t *tail) between(e *event) error {
	if t.tx.started {
		return t.damaged(fmt.Errorf("%s inside a transaction", e.typ))
	}
	return nil
}

// format reads a FORMAT_DESCRIPTION_EVENT, with which every file begins.
func (t *tail) format(e *event) error {
	if err := t.between(e); err != nil {
		return err
	}
	const versionAt, lengthsAt = 2, 2 + 50 + 4 + 1
	c := cursor{b: e.body}
	if v := c.uint(2); v != 4 {
		return t.damaged(fmt.Errorf("binlog of version %d", v))
	}
	version := string(bytes.TrimRight(c.take(50), "\x00"))
	// Only rows events with table numbers of 6 bytes are known.
	if at := lengthsAt + int(replication.TABLE_MAP_EVENT) - 1; len(e.body) <= at || e.body[at] != 8 {
		return t.damaged(errors.New("table descriptions of another version"))
	}
	t.version = versionNumber(version)
	if t.version < 50700 || strings.Contains(version, "MariaDB") {
		return t.stop("binlog", fmt.Sprintf("it was written by %s", version), "only MySQL 5.7 and later can be read")
	}
	return nil
}

// hasChecksum reads the algorithm out of a FORMAT_DESCRIPTION_EVENT: one byte, with room for the checksum behind it.
func hasChecksum(raw []byte) bool {
	return len(raw) > headerSize+5 && raw[len(raw)-5] == byte(replication.BINLOG_CHECKSUM_ALG_CRC32)
}

// versionNumber turns 9.7.1-debug into 90701.
func versionNumber(s string) int {
	n := 0
	for i, part := range strings.SplitN(s, ".", 3) {
		if end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			part = part[:end]
		}
		v, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		n += v * [3]int{10000, 100, 1}[i]
	}
	return n
}

func (t *tail) rotate(e *event) error {
	if err := t.between(e); err != nil {
		return err
	}
	c := cursor{b: e.body}
	pos := c.uint(8)
	if c.short {
		return t.damaged(errShort)
	}
	t.file, t.filePos = string(c.b), pos
	if !t.pos.byFile || t.file == t.pos.file && pos == t.pos.pos {
		return nil
	}
	if t.pos.inside() {
		return t.damaged(fmt.Errorf("the log goes on at %s:%d, not inside the transaction that was being read", t.file, pos))
	}
	if cmp, err := compareFiles(t.file, t.pos.file); err != nil || cmp < 0 {
		return t.damaged(fmt.Errorf("the log goes from %s back to %s", t.pos.file, t.file))
	}
	t.pos.file, t.pos.pos = t.file, pos
	return nil
}

// start begins a transaction.
func (t *tail) start(e *event, s transactionStart, err error) error {
	switch {
	case err != nil:
		return t.damaged(err)
	case t.tx.started:
		return t.damaged(fmt.Errorf("transaction %s begins inside another", s.id))
	}
	t.tx = transaction{started: true, id: s.id, time: s.time}
	if s.time == 0 {
		t.tx.time = int64(e.time) * 1_000_000
	}
	if t.pos.byFile {
		if e.end != 0 && t.filePos-uint64(e.size) != t.pos.pos {
			return t.damaged(fmt.Errorf("a transaction begins at %d, not at %d", t.filePos-uint64(e.size), t.pos.pos))
		}
		return nil
	}
	switch {
	case s.id.isZero():
		return t.stop("gtid_mode", "the source has begun to write transactions without a GTID, and this migration follows GTIDs",
			"set gtid_mode=ON again, and start again with a new snapshot")
	case t.pos.set.has(s.id):
		return t.damaged(fmt.Errorf("transaction %s comes a second time", s.id))
	case t.pos.inside() && s.id != t.pos.in:
		return t.stop("binlog", fmt.Sprintf("transaction %s comes first where %s was being read: the order of the log has changed", s.id, t.pos.in),
			"read from the server that the migration was started on, or start again with a new snapshot")
	}
	return nil
}

// commit ends the transaction.
func (t *tail) commit() (bool, error) {
	t.ending = false
	if t.tx.rows < t.skip {
		return false, t.damaged(fmt.Errorf("it has %d rows, of which %d had been read before", t.tx.rows, t.skip))
	}
	t.skip = 0
	t.pos.in, t.pos.row = gtid{}, 0
	if t.pos.byFile {
		t.pos.pos = t.filePos
	} else {
		t.pos.set.add(t.tx.id)
	}
	if t.tx.settled != "" {
		t.pos.prepared = slices.DeleteFunc(t.pos.prepared, func(x string) bool { return x == t.tx.settled })
	}
	if t.tx.prepared != "" {
		t.pos.prepared = append(t.pos.prepared, t.tx.prepared)
	}
	t.event = capture.Event{Kind: capture.Commit, Time: t.tx.time}
	t.tx = transaction{}
	return true, nil
}

// returning notes that the caller gets what has just been read.
func (t *tail) returning() { t.pos.in, t.pos.row = t.tx.id, t.tx.rows }

func (t *tail) describe(e *event) error {
	if !t.tx.open {
		return t.damaged(errors.New("rows outside BEGIN and COMMIT"))
	}
	if len(e.body) < 6 {
		return t.damaged(errShort)
	}
	id := littleEndian(e.body[:6])
	if l := t.described[id]; l != nil && bytes.Equal(l.raw, e.body) {
		l.in = t.statement
		return nil
	}
	if len(t.described) >= maxDescribed {
		for id, l := range t.described {
			if l.in != t.statement {
				delete(t.described, id)
			}
		}
	}
	m, err := parseTableMap(e.body)
	if err != nil {
		return t.damaged(err)
	}
	l := &loggedTable{tableMap: m, raw: bytes.Clone(e.body), in: t.statement}
	n := name{m.schema, m.table}
	switch table := t.table(n); {
	case table != nil:
		l.role = selected
		if err := l.match(table, t.collations); err != nil {
			return t.stop(n.String(), fmt.Sprintf("the log describes another table than the one that is known at this position: %v", err),
				"the table was changed without the change being logged, or the migration knows another version of it: start again with a new snapshot")
		}
	case t.selects(n):
		return t.stop(n.String(), "rows of a table inside the selection that did not exist when the migration began",
			"exclude it in source.tables and resume, or start again to migrate it too")
	case n == name{ownSchema, markerTable}:
		l.role = marker
		if err := l.matchMarker(); err != nil {
			return t.stop(n.String(), err.Error(), "drop the table; crossfade makes it again")
		}
	}
	t.described[id] = l
	return nil
}

// table returns the version of a selected table in force, nil for others.
func (t *tail) table(n name) *catalog.Table {
	if c := t.tables[n]; c != nil || !t.fold {
		return c
	}
	for have, c := range t.tables {
		if strings.EqualFold(have.schema, n.schema) && strings.EqualFold(have.table, n.table) {
			return c
		}
	}
	return nil
}

func (t *tail) known(n name) bool { return t.table(n) != nil }

func (t *tail) selects(n name) bool {
	return n.schema != ownSchema && (t.known(n) || t.cfg.selected(n.schema, n.table))
}

func (t *tail) holds(schema string) bool {
	if t.schemas[schema] {
		return true
	}
	for have := range t.schemas {
		if t.fold && strings.EqualFold(have, schema) {
			return true
		}
	}
	return false
}

// find returns the description of a table number, if it was made in this statement.
func (t *tail) find(id uint64) *loggedTable {
	if l := t.described[id]; l != nil && l.in == t.statement {
		return l
	}
	return nil
}

// rowsEvent begins the reading of rows.
func (t *tail) rowsEvent(e *event) (bool, error) {
	if !t.tx.open {
		return false, t.damaged(errors.New("rows outside BEGIN and COMMIT"))
	}
	r, flags, err := parseRowsEvent(e.typ, e.body, t.find)
	if flags&stmtEnd != 0 {
		t.statement++
	}
	if errors.Is(err, errNoColumns) {
		return false, t.rowStop(r.table, err)
	}
	if err != nil {
		return false, t.damaged(err)
	}
	if r.table == nil {
		return false, nil
	}
	if r.table.role == other {
		for len(r.data) > 0 {
			if err := r.skip(); err != nil {
				return false, t.damaged(fmt.Errorf("row of %s: %w", r.table, err))
			}
			t.tx.rows++
		}
		return false, nil
	}
	switch {
	case r.partial:
		return false, t.stop(r.table.String(), "a session logs changes of JSON documents in part (binlog_row_value_options=PARTIAL_JSON)",
			"turn it off for every session and on the server, and start again with a new snapshot")
	case t.tx.xid != "":
		return false, t.stop(r.table.String(), "its rows are changed in an XA transaction: the log has them before it is known whether they will be committed",
			"do not use XA on migrated tables, or exclude the table; then start again with a new snapshot")
	}
	t.tx.touched = true
	t.rows = r
	if n := len(r.table.columns); cap(t.before) < n {
		t.before, t.after = make(change.Row, n), make(change.Row, n)
	}
	return false, nil
}

// row reads the next row of a table whose rows are wanted.
func (t *tail) row() (bool, error) {
	r := &t.rows
	n := len(r.table.columns)
	if cap(t.scratch) > keepScratch {
		t.scratch = nil
	}
	var err error
	if t.tx.rows < t.skip {
		if err := r.skip(); err != nil {
			return false, t.rowStop(r.table, err)
		}
		t.tx.rows++
		return false, nil
	}
	t.event = capture.Event{Kind: capture.Row, Time: t.tx.time}
	if t.scratch, err = r.next(&t.event.Change, t.before[:n], t.after[:n], t.scratch[:0]); err != nil {
		return false, t.rowStop(r.table, err)
	}
	t.tx.rows++
	if r.table.role == marker && !t.marker() {
		return false, nil
	}
	t.returning()
	return true, nil
}

// rowStop says that a row could not be decoded.
func (t *tail) rowStop(l *loggedTable, err error) error {
	object := l.String()
	var ce *columnError
	if errors.As(err, &ce) && l.role == selected {
		object += "." + l.shape.Columns[ce.column].Name
		err = ce.err
	}
	reason := fmt.Sprintf("a value in the log (transaction %s, row %d) cannot be decoded: %v", t.tx.name(t), t.tx.rows+1, err)
	switch {
	case errors.Is(err, errNoKey), errors.Is(err, errNoColumns), errors.Is(err, errNoDefault):
		return t.stop(object, fmt.Sprintf("%v (transaction %s, row %d)", err, t.tx.name(t), t.tx.rows+1),
			"set binlog_row_image=FULL for every session of the source, and start again with a new snapshot")
	default:
		return t.stop(object, reason, "correct the value on the source and start again, or exclude the table; if the value is good report it")
	}
}

// query judges a statement.
func (t *tail) query(e *event) (bool, error) {
	q, err := parseQuery(e.body)
	if err != nil {
		return false, t.damaged(err)
	}
	text, err := t.statementText(&q)
	st := statement{verdict: unreadable}
	if err != nil {
		st.reason = err.Error()
	} else {
		st = classify(&q, text, t.version, t)
	}
	outside := func(v string) error { return t.damaged(fmt.Errorf("%s outside a transaction", v)) }
	switch st.verdict {
	case begins, xaStarts:
		if t.tx.open {
			return false, t.damaged(errors.New("a transaction begins inside another"))
		}
		t.tx.open, t.tx.xid = true, st.xid
	case commits:
		if !t.tx.open {
			return false, outside("COMMIT")
		}
		t.ending = true
	case rollsBack, rollsTo:
		if !t.tx.open {
			return false, outside("ROLLBACK")
		}
		if t.tx.touched {
			return false, t.stop("transaction "+t.tx.name(t), "rows of migrated tables were logged and then rolled back, together with tables that cannot roll back",
				"move tables of engines without transactions to InnoDB, and start again with a new snapshot")
		}
		t.ending = st.verdict == rollsBack
	case savepoint, xaEnds:
		if !t.tx.open {
			return false, outside("a savepoint")
		}
	case xaCommits:
		if !slices.Contains(t.pos.prepared, st.xid) {
			return false, t.stop("transaction "+t.tx.name(t), "it commits an XA transaction that was prepared before the migration began, so its rows are not in what has been read",
				"start again with a new snapshot while XA RECOVER is empty")
		}
		t.tx.settled, t.ending = st.xid, true
	case xaRolls:
		t.tx.settled, t.ending = st.xid, true
	case passes:
		t.tx.open = t.tx.open || st.opens
		t.ending = !t.tx.open
	case truncates:
		return t.truncate(st.table)
	case changes:
		return false, t.statementFormat(st.object)
	case touches:
		return false, t.stop(st.object, fmt.Sprintf("%s: %s", st.reason, excerpt(text)),
			"changes of migrated tables are not followed: exclude the table and resume, or start again with a new snapshot")
	case unreadable:
		return false, t.stop("transaction "+t.tx.name(t), fmt.Sprintf("a statement is not understood (%s): %s", st.reason, excerpt(text)),
			"if it touches no migrated table report it; nothing has been skipped")
	default:
		return false, t.stop("transaction "+t.tx.name(t), fmt.Sprintf("a statement was judged %d", st.verdict), "report it; nothing has been skipped")
	}
	return false, nil
}

// truncate returns the emptying of a table. It counts as a row, so that a place behind it can be named.
func (t *tail) truncate(n name) (bool, error) {
	if t.tx.open {
		return false, t.damaged(errors.New("TRUNCATE inside a transaction"))
	}
	t.ending = true
	t.tx.rows++
	t.tx.touched = true
	if t.tx.rows <= t.skip {
		return false, nil
	}
	t.event = capture.Event{Kind: capture.Truncate, Time: t.tx.time, Change: change.Change{Table: t.table(n).Shape(), Op: change.Truncate}}
	t.returning()
	return true, nil
}

// prepare ends the first half of an XA transaction. Its rows are of tables that are not migrated, or reading would have stopped at them; so it may be
// committed later.
func (t *tail) prepare(e *event) error {
	if !t.tx.open || t.tx.xid == "" || len(e.body) < 1 {
		return t.damaged(errors.New("XA PREPARE without XA START"))
	}
	if onePhase := e.body[0] != 0; !onePhase {
		t.tx.prepared = t.tx.xid
	}
	t.ending = true
	return nil
}

// statementText returns the statement in UTF-8.
func (t *tail) statementText(q *query) (string, error) {
	if isASCII(q.text) {
		return string(q.text), nil
	}
	cs, err := charsetOf(t.collations[q.client])
	if err != nil {
		return "", fmt.Errorf("it is written in %w", err)
	}
	text, err := cs.appendUTF8(nil, q.text)
	if err == nil && !utf8.Valid(text) {
		err = errors.New("it is no valid text")
	}
	return string(text), err
}

// excerpt shortens a statement for a message. Statements that change rows are never shown: they hold data.
func excerpt(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
