package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Bounds of one statement, and how much is sent before the answers are looked at.
const (
	maxStatementRows  = 5000
	maxStatementBytes = 1 << 20
	flushBytes        = 1 << 20
	// largeBuffer is not kept: one very large row must not hold its memory for ever.
	largeBuffer = 16 << 20
	// minJoinRows is how many rows pay for planning a statement for all of them.
	minJoinRows = 8
	// applyTimeout bounds one transaction, and of one that carries out cascades each of their steps and each of the notes they leave, so that a server that hangs is left. What became of it the
	// ledger says.
	applyTimeout = 10 * time.Minute
)

// session is one connection.
type session struct {
	target *Target
	conn   *pgconn.PgConn
	shapes map[*change.Table]*prepared
	names  int // of prepared statements
	fixed  map[string]*statement
	stale  bool // the server may hold other prepared statements than we think

	pipe      *pgconn.Pipeline
	sent      []sent
	unflushed int
	tally     []apply.Count // of the transaction under way
	generic   bool          // plans of this transaction are made once
	patience  *apply.Patience

	buf     []byte
	offsets []int
	params  [][]byte
	formats []int16
	copyBuf []byte
}

// prepared is what a session has for one shape.
type prepared struct {
	meta       *meta
	statements []*statement
	// conflicts: COPY has met rows that exist; the next ones are written as upserts at once.
	conflicts int
}

// sent is a request whose answer is awaited.
type sent struct {
	step, row, rows int        // row is -1 when the statement has several
	prepare         *statement // a preparation
	what            int8
}

const (
	sentOther int8 = iota
	sentLedger
	sentRows
	sentCommit
)

func newSession(t *Target, conn *pgconn.PgConn) *session {
	return &session{target: t, conn: conn, shapes: map[*change.Table]*prepared{}, fixed: map[string]*statement{}}
}

// Broken implements [apply.Session].
func (s *session) Broken() bool { return s.conn.IsClosed() }

// Close implements [apply.Session].
func (s *session) Close() { closeConn(s.conn) }

// forget drops what is known about tables: they may have been altered.
func (s *session) forget() {
	clear(s.shapes)
	s.stale = true
}

// refresh drops prepared statements that nobody knows any more.
func (s *session) refresh(ctx context.Context) error {
	if !s.stale {
		return nil
	}
	if _, err := s.exec(ctx, "DEALLOCATE ALL"); err != nil {
		return err
	}
	clear(s.fixed)
	s.stale = false
	return nil
}

// query runs a statement with text parameters and returns all rows.
func (s *session) query(ctx context.Context, sql string, args ...string) ([][][]byte, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	r := s.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return r.Rows, classify(r.Err)
}

// exec runs one statement and returns how many rows it changed.
func (s *session) exec(ctx context.Context, sql string, args ...string) (int64, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	r := s.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return r.CommandTag.RowsAffected(), classify(r.Err)
}

// Exec implements [apply.Session]. The planner gets back what was taken from it for the sake of small joins: checking a foreign key reads
// whole tables.
func (s *session) Exec(ctx context.Context, sql string) error {
	const freely = "SET enable_hashjoin = on; SET enable_mergejoin = on; SET enable_seqscan = on; SET enable_bitmapscan = on"
	_, err := s.conn.Exec(ctx, freely).ReadAll()
	if err == nil {
		_, err = s.conn.Exec(ctx, sql).ReadAll()
		s.rollback(ctx)
	}
	if _, again := s.conn.Exec(ctx, settings).ReadAll(); again != nil {
		closeConn(s.conn)
	}
	s.forget()
	return classify(err)
}

func (s *session) of(ctx context.Context, shape *change.Table) (*prepared, error) {
	p := s.shapes[shape]
	if p == nil {
		m, err := s.readMeta(ctx, shape)
		if err != nil {
			return nil, err
		}
		p = &prepared{meta: m}
		s.shapes[shape] = p
	}
	return p, nil
}

// Apply implements [apply.Session].
func (s *session) Apply(ctx context.Context, tx *apply.Tx) error {
	s.patience = nil
	if !slices.ContainsFunc(tx.Steps, func(st apply.Step) bool { return st.Op == apply.EmptyTable }) { // which takes as long as the table is large
		ctx, s.patience = apply.BePatient(ctx, s.target.patience)
		defer s.patience.End()
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	for i := range tx.Steps {
		if _, err := s.of(ctx, tx.Steps[i].Shape); err != nil {
			return err
		}
		if c := tx.Steps[i].Cascade; c != nil {
			for _, shape := range c.Shapes() {
				if _, err := s.of(ctx, shape); err != nil {
					return err
				}
			}
		}
	}
	s.tally = append(s.tally[:0], tx.Counts...)
	tx.Cascaded = tx.Cascaded[:0]
	s.generic = false
	err := s.transaction(ctx, tx)
	if cap(s.buf) > largeBuffer {
		s.buf, s.params = nil, nil
	}
	if err == nil {
		copy(tx.Counts, s.tally)
		return nil
	}
	s.closePipe()
	s.rollback(ctx)
	s.forget() // what the server skipped behind an error it has not prepared, and what it had may be gone
	return err
}

// rollback ends a transaction that has failed. A connection on which that is not possible is closed.
func (s *session) rollback(ctx context.Context) {
	if s.conn.IsClosed() || s.conn.TxStatus() == 'I' {
		return
	}
	if _, err := s.conn.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		closeConn(s.conn)
	}
}

func (s *session) transaction(ctx context.Context, tx *apply.Tx) error {
	s.openPipe(ctx)
	s.send("BEGIN", sent{what: sentOther, step: -1})
	s.sendLedger(tx)
	for i := range tx.Steps {
		if err := s.step(ctx, tx, i); err != nil {
			return err
		}
	}
	// What was changed must be known before COMMIT is sent: one round trip more, and no transaction that should not have been.
	if err := s.sync(tx); err != nil {
		return err
	}
	if tx.Touched != nil && len(tx.Cascaded) > 0 {
		tx.Touched(tx.Cascaded)
	}
	s.openPipe(ctx)
	if err := s.sendSide(ctx, tx); err != nil {
		return err
	}
	s.send("COMMIT", sent{what: sentCommit, step: -1})
	return s.sync(tx)
}

func (s *session) openPipe(ctx context.Context) {
	if s.pipe == nil {
		s.pipe = s.conn.StartPipeline(ctx)
		s.sent, s.unflushed = s.sent[:0], 0
	}
}

// closePipe ends a pipeline that was left because of an error on our side.
func (s *session) closePipe() {
	if s.pipe == nil {
		return
	}
	if len(s.sent) > 0 {
		if err := s.pipe.Sync(); err != nil {
			closeConn(s.conn)
		}
	}
	if err := s.pipe.Close(); err != nil && s.conn.IsClosed() {
		closeConn(s.conn)
	}
	s.pipe = nil
}

// send queues a statement without rows; its text is its name.
func (s *session) send(sql string, as sent, args ...string) {
	st := s.fixed[sql]
	if st == nil {
		st = &statement{sql: sql}
		s.fixed[sql] = st
	}
	params := s.params[:0]
	for _, a := range args {
		params = append(params, []byte(a))
	}
	s.params = params
	s.sendPrepared(st, params, nil, as)
}

func (s *session) sendPrepared(st *statement, params [][]byte, formats []int16, as sent) {
	if !st.prepared {
		s.names++
		st.name = "xf" + strconv.Itoa(s.names)
		s.pipe.SendPrepare(st.name, st.sql, st.oids)
		s.sent = append(s.sent, sent{prepare: st, step: as.step, row: -1})
		st.prepared = true // taken back when the preparation fails
	}
	s.pipe.SendQueryPrepared(st.name, params, formats, nil)
	s.sent = append(s.sent, as)
	for _, p := range params {
		s.unflushed += len(p)
	}
	s.unflushed += 64
}

func (s *session) flush() error {
	if s.unflushed < flushBytes {
		return nil
	}
	s.unflushed = 0
	return classify(s.pipe.Flush())
}

// settle waits for the answers to what was sent, once that is much: it is how the server is heard of, and what waits for its answer is kept.
func (s *session) settle(ctx context.Context, tx *apply.Tx) error {
	if s.unflushed < flushBytes {
		return nil
	}
	if err := s.sync(tx); err != nil {
		return err
	}
	s.openPipe(ctx)
	return nil
}

// sync waits for the answers of all that was sent, and judges them.
func (s *session) sync(tx *apply.Tx) error {
	if s.pipe == nil {
		return nil
	}
	pipe := s.pipe
	s.pipe = nil
	if err := pipe.Sync(); err != nil {
		return classify(err)
	}
	first, at := error(nil), 0
	for i := range s.sent {
		at = i
		if first = s.answer(pipe, tx, &s.sent[i]); first != nil {
			break
		}
	}
	var pg *pgconn.PgError
	if errors.As(first, &pg) { // the server skips all that follows up to the sync
		for _, later := range s.sent[at:] {
			if later.prepare != nil {
				later.prepare.prepared = false
			}
		}
	}
	if err := pipe.Close(); err != nil && first == nil {
		first = err
	}
	if first == nil {
		return nil
	}
	if pg != nil {
		return s.judge(tx, &s.sent[at], pg)
	}
	return classify(first)
}

func (s *session) answer(pipe *pgconn.Pipeline, tx *apply.Tx, q *sent) error {
	result, err := pipe.GetResults()
	s.patience.Progress()
	if err != nil {
		return err
	}
	if q.prepare != nil {
		return nil
	}
	reader, ok := result.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("target answers out of turn with %T", result)
	}
	tag, err := reader.Close()
	if err != nil {
		return err
	}
	n := tag.RowsAffected()
	switch q.what {
	case sentLedger:
		want := int64(1)
		if tx.Lane == apply.AllLanes {
			want = int64(tx.Lanes)
		}
		if n != want {
			return apply.ErrMoved
		}
	case sentCommit:
		if tag.String() != "COMMIT" {
			return fmt.Errorf("target answers %s to COMMIT", tag)
		}
	case sentRows:
		st := &tx.Steps[q.step]
		if st.Exact && n != int64(q.rows) {
			return &apply.Mismatch{Step: q.step, Row: q.row, Want: int64(q.rows), Got: n}
		}
		s.add(st, n, int64(q.rows))
	}
	return nil
}

// add counts what a statement has changed.
func (s *session) add(st *apply.Step, changed, named int64) {
	s.tally[st.Count].Add(st.Tally, changed, named)
}

// judge says what an error of the server means for the transaction.
func (s *session) judge(tx *apply.Tx, q *sent, pg *pgconn.PgError) error {
	if q.step < 0 || !isRowCode(pg.Code) {
		err := error(pg)
		if q.step >= 0 {
			err = fmt.Errorf("%s into %s: %w", tx.Steps[q.step].Op, tx.Steps[q.step].Shape, pg)
		}
		return classify(err)
	}
	r := &apply.Refusal{Step: q.step, Row: q.row, Code: pg.Code, Reason: pg.Message}
	if pg.Detail != "" {
		r.Reason += " (" + pg.Detail + ")"
	}
	if pg.ColumnName != "" {
		r.Reason += " (column " + pg.ColumnName + ")"
	}
	if p := s.shapes[tx.Steps[q.step].Shape]; p != nil && pg.Code == "23505" {
		r.Unique = true
		r.Duplicate = p.meta.isKey(pg.ConstraintName)
	}
	return r
}
