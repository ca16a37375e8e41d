package gate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// mysqlTime is how times are sent and read: the session's zone is UTC.
const mysqlTime = "2006-01-02 15:04:05.000000"

// tx runs f in one transaction on one connection. An error of its commit is of unknown outcome, and so is every other that is not ErrBusy.
func (s *MySQL) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		if e := tx.Rollback(); e != nil && !errors.Is(e, sql.ErrTxDone) && !errors.Is(err, errUnchanged) {
			// The connection is broken or will be: a transaction that could not be rolled back is not known to have ended.
			return fmt.Errorf("%w (and its rollback: %w)", err, e)
		}
		return busy(err)
	}
	return tx.Commit()
}

// errUnchanged ends a transaction that found nothing to do.
var errUnchanged = errors.New("unchanged")

const mysqlAttempt = `SELECT epoch, state, instance, source_id, target_id, deadline, COALESCE(reason, ''), started_at, finished_at
	FROM crossfade.attempt WHERE migration = ? AND side = ? AND epoch > 0 ORDER BY epoch DESC`

// scanner is a row to be scanned.
type scanner interface{ Scan(...any) error }

func scanAttempt(row scanner) (p cutover.Past, err error) {
	var state string
	var deadline, started, finished sql.NullString
	if err = row.Scan(&p.Epoch, &state, &p.Instance, &p.SourceID, &p.TargetID, &deadline, &p.Reason, &started, &finished); err != nil {
		return p, err
	}
	if p.State, err = protocol.ParseState(state); err != nil {
		return p, err
	}
	for _, t := range []struct {
		from sql.NullString
		to   *time.Time
	}{{deadline, &p.Deadline}, {started, &p.StartedAt}, {finished, &p.FinishedAt}} {
		if t.from.Valid {
			if *t.to, err = time.Parse(mysqlTime, t.from.String); err != nil {
				return p, fmt.Errorf("time in crossfade.attempt: %w", err)
			}
		}
	}
	return p, nil
}

// querier is a connection or a transaction.
type querier interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}

// newest reads the newest attempt; none is the zero value.
func (s *MySQL) newest(ctx context.Context, q querier) (cutover.Past, error) {
	p, err := scanAttempt(q.QueryRowContext(ctx, mysqlAttempt+" LIMIT 1", s.cfg.Migration, s.side))
	if errors.Is(err, sql.ErrNoRows) {
		return cutover.Past{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read crossfade.attempt: %w", err)
	}
	return p, nil
}

func (s *MySQL) gate(ctx context.Context, q querier, lock string) (g protocol.Gate, err error) {
	var state string
	err = q.QueryRowContext(ctx, "SELECT state, epoch FROM crossfade.gate WHERE migration = ? AND side = ?"+lock, s.cfg.Migration, s.side).Scan(&state, &g.Epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return g, fmt.Errorf("the %s has no row in crossfade.gate for migration %s: `crossfade run` makes it", s.side, s.cfg.Migration)
	}
	if err != nil {
		return g, fmt.Errorf("read crossfade.gate: %w", err)
	}
	g.Open, err = parseState(state)
	return g, err
}

// Read reads gate and newest attempt at one moment.
func (s *MySQL) Read(ctx context.Context) (v cutover.View, err error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return v, fmt.Errorf("read the %s's gate: %w", s.side, err)
	}
	defer func() { err = errors.Join(err, tx.Commit()) }()
	if v.Gate, err = s.gate(ctx, tx, ""); err != nil {
		return v, err
	}
	p, err := s.newest(ctx, tx)
	if err != nil {
		return v, err
	}
	v.Attempt, v.Record = p.Attempt, p.Record
	if err := tx.QueryRowContext(ctx, "SELECT "+s.identity()).Scan(&v.Identity); err != nil {
		return v, fmt.Errorf("identity of the %s: %w", s.side, err)
	}
	return v, nil
}

// lock takes the row that all statements of this side's attempts lock first. It is not the one that the triggers lock.
func (s *MySQL) lock(ctx context.Context, tx *sql.Tx, identity string) error {
	var id string
	err := tx.QueryRowContext(ctx, "SELECT "+s.identity()+" FROM crossfade.attempt WHERE migration = ? AND side = ? AND epoch = 0 FOR UPDATE", s.cfg.Migration, s.side).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the %s has no row in crossfade.attempt for migration %s: `crossfade run` makes it", s.side, s.cfg.Migration)
	}
	if err != nil {
		return fmt.Errorf("lock crossfade.attempt: %w", err)
	}
	if identity != "" && id != identity {
		return fmt.Errorf("another server answers for the %s: %s, the cutover began on %s", s.side, id, identity)
	}
	return nil
}

// Do runs a statement of a side: of the side left it locks the row of its attempts first, of the side entered the gate's.
func (s *MySQL) Do(ctx context.Context, c cutover.Call) (bool, error) {
	if err := s.takes(c); err != nil {
		return false, err
	}
	do := s.enter
	if s.role() == protocol.Leaving {
		do = s.leave
	}
	err := s.tx(ctx, func(tx *sql.Tx) error { return do(ctx, tx, c) })
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s %d on the %s: %w", c.Rule.Act, c.Epoch, s.side, err)
	}
	return true, nil
}

// leave runs a statement of the side that is left.
func (s *MySQL) leave(ctx context.Context, tx *sql.Tx, c cutover.Call) error {
	if err := s.lock(ctx, tx, c.Identity); err != nil {
		return err
	}
	p, err := s.newest(ctx, tx)
	if err != nil {
		return err
	}
	before := protocol.DB{Attempt: p.Attempt}
	if c.Rule.ReadsGate() {
		lock := ""
		if c.Rule.WritesGate() {
			lock = " FOR UPDATE" // waits for every transaction that has written under the triggers
		}
		if before.Gate, err = s.gate(ctx, tx, lock); err != nil {
			return err
		}
	}
	late := false
	if c.Rule.InTime {
		if err := tx.QueryRowContext(ctx, "SELECT COALESCE(deadline <= NOW(6), TRUE) FROM crossfade.attempt WHERE migration = ? AND side = ? AND epoch = ?",
			s.cfg.Migration, s.side, c.Epoch).Scan(&late); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the deadline: %w", err)
		}
	}
	after := before
	if !c.Rule.Apply(&after, c.Epoch, late) {
		return errUnchanged
	}
	if after.Gate != before.Gate {
		state := "closed"
		if after.Gate.Open {
			state = "open"
		}
		if _, err := tx.ExecContext(ctx, "UPDATE crossfade.gate SET state = ?, epoch = ?, changed_at = NOW(6) WHERE migration = ? AND side = ?",
			state, after.Gate.Epoch, s.cfg.Migration, s.side); err != nil {
			return err
		}
	}
	if after.Attempt != before.Attempt {
		if err := s.writeAttempt(ctx, tx, after.Attempt, c); err != nil {
			return err
		}
	}
	if c.Rule.Act == protocol.Fence {
		if _, err := tx.ExecContext(ctx, "INSERT INTO crossfade.marker (migration, side, epoch, kind) VALUES (?, ?, ?, 'fence')", s.cfg.Migration, s.side, c.Epoch); err != nil {
			return err
		}
	}
	return s.writeEntries(ctx, tx, c.Epoch, c.Entries)
}

// writeAttempt brings the attempt's row to its new state.
func (s *MySQL) writeAttempt(ctx context.Context, tx *sql.Tx, a protocol.Attempt, c cutover.Call) error {
	if c.Rule.Fresh || c.Rule.Lost {
		_, err := tx.ExecContext(ctx, `INSERT INTO crossfade.attempt (migration, side, epoch, state, instance, source_id, target_id, started_at, finished_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, NOW(6), IF(?, NULL, NOW(6))) ON DUPLICATE KEY UPDATE state = VALUES(state)`,
			s.cfg.Migration, s.side, a.Epoch, a.State.String(), c.Record.Instance, c.Record.SourceID, c.Record.TargetID, a.State.Live())
		return err
	}
	set, args := "state = ?", []any{a.State.String()}
	if c.Timeout != 0 {
		set, args = set+", deadline = NOW(6) + INTERVAL ? MICROSECOND", append(args, c.Timeout.Microseconds())
	}
	if c.Reason != "" {
		set, args = set+", reason = ?", append(args, clip(c.Reason))
	}
	if !a.State.Live() {
		set += ", finished_at = NOW(6)"
	}
	_, err := tx.ExecContext(ctx, "UPDATE crossfade.attempt SET "+set+" WHERE migration = ? AND side = ? AND epoch = ?", append(args, s.cfg.Migration, s.side, a.Epoch)...)
	return err
}

// clip keeps a text within a column of 64 KiB.
func clip(s string) string {
	if len(s) > 16000 {
		return s[:16000] + "..."
	}
	return s
}

const mysqlEntry = `INSERT INTO crossfade.journal (migration, side, epoch, step, run, instance, intent_at, done_at, outcome, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (s *MySQL) entryArgs(epoch int64, e cutover.Entry) []any {
	var done, outcome, evidence any
	if !e.DoneAt.IsZero() {
		done, outcome, evidence = e.DoneAt.UTC().Format(mysqlTime), e.Outcome, string(e.Evidence)
		if len(e.Evidence) == 0 {
			evidence = "{}"
		}
	}
	return []any{s.cfg.Migration, s.left(), epoch, e.Step, e.Run, e.Instance, e.IntentAt.UTC().Format(mysqlTime), done, outcome, evidence}
}

// writeEntries writes entries; those that stand there stay, and only what is not done is completed.
func (s *MySQL) writeEntries(ctx context.Context, tx *sql.Tx, epoch int64, entries []cutover.Entry) error {
	for _, e := range entries {
		if _, err := tx.ExecContext(ctx, mysqlEntry+` ON DUPLICATE KEY UPDATE outcome = IF(done_at IS NULL, VALUES(outcome), outcome),
			evidence = IF(done_at IS NULL, VALUES(evidence), evidence), done_at = COALESCE(done_at, VALUES(done_at))`, s.entryArgs(epoch, e)...); err != nil {
			return fmt.Errorf("journal step %s: %w", e.Step, err)
		}
	}
	return nil
}

// live locks the row that says so, and reports whether the journal of an attempt may be written: on the side left while it lives, on the side entered while
// the gate stands open under the epoch.
func (s *MySQL) live(ctx context.Context, tx *sql.Tx, epoch int64) error {
	if s.role() == protocol.Entering {
		g, err := s.gate(ctx, tx, " FOR UPDATE")
		if err == nil && (!g.Open || g.Epoch != epoch) {
			err = errUnchanged
		}
		return err
	}
	if err := s.lock(ctx, tx, ""); err != nil {
		return err
	}
	p, err := s.newest(ctx, tx)
	if err != nil {
		return err
	}
	if p.Epoch != epoch || !p.State.Live() {
		return errUnchanged
	}
	return nil
}

// Record writes entries while the attempt lives.
func (s *MySQL) Record(ctx context.Context, epoch int64, entries []cutover.Entry) (bool, error) {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.live(ctx, tx, epoch); err != nil {
			return err
		}
		return s.writeEntries(ctx, tx, epoch, entries)
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	return err == nil, err
}

// Intend writes one intent if none stands there.
func (s *MySQL) Intend(ctx context.Context, e cutover.Entry) (bool, error) {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.live(ctx, tx, e.Epoch); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, mysqlEntry, s.entryArgs(e.Epoch, e)...)
		if mysqlErr(err) == errDuplicate {
			return errUnchanged
		}
		return err
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	return err == nil, err
}

// Journal reads an attempt's entries.
func (s *MySQL) Journal(ctx context.Context, epoch int64) (out []cutover.Entry, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT epoch, step, run, instance, intent_at, done_at, COALESCE(outcome, ''), evidence FROM crossfade.journal
		WHERE migration = ? AND side = ? AND epoch = IF(? > 0, ?, (SELECT MAX(epoch) FROM crossfade.journal WHERE migration = ? AND side = ?)) ORDER BY intent_at, step, run`,
		s.cfg.Migration, s.left(), epoch, epoch, s.cfg.Migration, s.left())
	if noTable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read crossfade.journal of the %s: %w", s.side, err)
	}
	defer rows.Close()
	for rows.Next() {
		var e cutover.Entry
		var intent string
		var done, evidence sql.NullString
		if err := rows.Scan(&e.Epoch, &e.Step, &e.Run, &e.Instance, &intent, &done, &e.Outcome, &evidence); err != nil {
			return nil, fmt.Errorf("read crossfade.journal of the %s: %w", s.side, err)
		}
		if e.IntentAt, err = time.Parse(mysqlTime, intent); err != nil {
			return nil, fmt.Errorf("time in crossfade.journal: %w", err)
		}
		if done.Valid {
			if e.DoneAt, err = time.Parse(mysqlTime, done.String); err != nil {
				return nil, fmt.Errorf("time in crossfade.journal: %w", err)
			}
		}
		e.Evidence = []byte(evidence.String)
		out = append(out, e)
	}
	return out, rows.Err()
}

// Attempts lists the attempts to leave this side, newest first.
func (s *MySQL) Attempts(ctx context.Context) (out []cutover.Past, err error) {
	rows, err := s.db.QueryContext(ctx, mysqlAttempt, s.cfg.Migration, s.side)
	if noTable(err) {
		return nil, nil // before the first start, and after cleanup
	}
	if err != nil {
		return nil, fmt.Errorf("read crossfade.attempt: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanAttempt(rows)
		if err != nil {
			return nil, fmt.Errorf("read crossfade.attempt: %w", err)
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// Beat commits a change of the row that nobody reads, and says how long that took.
func (s *MySQL) Beat(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	_, err := s.db.ExecContext(ctx, "UPDATE crossfade.attempt SET finished_at = NOW(6) WHERE migration = ? AND side = ? AND epoch = 0", s.cfg.Migration, s.side)
	if err != nil {
		return 0, fmt.Errorf("commit on the %s: %w", s.side, busy(err))
	}
	return time.Since(start), nil
}
