package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// pgQuerier is a connection or a transaction.
type pgQuerier interface {
	QueryRow(context.Context, string, ...any) pgx.Row
	Query(context.Context, string, ...any) (pgx.Rows, error)
}

// gate reads the gate's row with the server's identity.
func (s *Postgres) gate(ctx context.Context, q pgQuerier, lock string) (g protocol.Gate, id string, err error) {
	var state string
	err = q.QueryRow(ctx, "SELECT state, epoch, "+identityExpr+" FROM crossfade.gate WHERE migration = $1 AND side = $2"+lock, s.cfg.Migration, s.side).Scan(&state, &g.Epoch, &id)
	if errors.Is(err, pgx.ErrNoRows) {
		return g, id, fmt.Errorf("the %s has no row in crossfade.gate for migration %s: `crossfade run` makes it", s.side, s.cfg.Migration)
	}
	if err != nil {
		return g, id, fmt.Errorf("read crossfade.gate of the %s: %w", s.side, err)
	}
	g.Open, err = parseState(state)
	return g, id, err
}

// Read reads gate and newest attempt at one moment.
func (s *Postgres) Read(ctx context.Context) (v cutover.View, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			if v.Gate, v.Identity, err = s.gate(ctx, tx, ""); err != nil {
				return err
			}
			p, err := s.newest(ctx, tx)
			v.Attempt, v.Record = p.Attempt, p.Record
			return err
		})
	})
	return v, err
}

// durable makes the commit of this transaction wait for the disk, whatever the server's default is; a stronger setting stays.
const durable = "SELECT set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' ELSE current_setting('synchronous_commit') END, true)"

// Do runs a statement of a side: of the side entered it locks the gate's row first, of the side left the row of its attempts.
func (s *Postgres) Do(ctx context.Context, c cutover.Call) (bool, error) {
	if err := s.takes(c); err != nil {
		return false, err
	}
	do := s.enter
	if s.role() == protocol.Leaving {
		do = s.leave
	}
	err := s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, durable); err != nil {
			return err
		}
		return do(ctx, tx, c)
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s %d on the %s: %w", c.Rule.Act, c.Epoch, s.side, err)
	}
	return true, nil
}

func (s *Postgres) enter(ctx context.Context, tx pgx.Tx, c cutover.Call) error {
	var own protocol.Attempt
	if c.Rule.ReadsAttempt() {
		if err := s.lock(ctx, tx, c.Identity); err != nil {
			return err
		}
		p, err := s.newest(ctx, tx)
		if err != nil {
			return err
		}
		own = p.Attempt
	}
	g, id, err := s.gate(ctx, tx, " FOR UPDATE")
	if err != nil {
		return err
	}
	if err := s.expect(id, c.Identity); err != nil {
		return err
	}
	db := protocol.DB{Gate: g, Attempt: own}
	if !c.Rule.Apply(&db, c.Epoch, false) {
		return errUnchanged
	}
	for _, q := range c.Sequences {
		if err := s.raise(ctx, tx, q); err != nil {
			return err
		}
	}
	if c.Rule.Revoke { // by the token no applier commits any more; the counter says, as in every other statement, that the row was written
		if _, err := tx.Exec(ctx, "UPDATE crossfade.ledger SET token = token + 1, counter = counter + 1 WHERE migration = $1 AND side = $2", s.cfg.Migration, s.side); err != nil {
			return fmt.Errorf("lock out the applier: %w", err)
		}
	}
	if c.Rule.Set == protocol.IsOpen {
		if err := s.lift(ctx, tx); err != nil {
			return err
		}
	}
	if err := s.writeGate(ctx, tx, g, db.Gate); err != nil {
		return err
	}
	return s.writeEntries(ctx, tx, c.Epoch, c.Entries)
}

// lift disables the fence that an earlier attempt has left, if there is one. A side that was never left opens without a lock on its tables, and without a look at each of them: writers wait.
func (s *Postgres) lift(ctx context.Context, tx pgx.Tx) error {
	var fenced bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = $1 AND NOT tgisinternal AND tgenabled <> 'D' AND tgfoid = 'crossfade.gate_deny'::regproc)", s.denyName()).Scan(&fenced)
	if err != nil {
		return fmt.Errorf("look for a fence: %w", err)
	}
	if !fenced {
		return nil
	}
	return s.shut(ctx, tx, false)
}

// expect refuses another server than the one that the cutover began on.
func (s *Postgres) expect(id, want string) error {
	if want != "" && id != want {
		return fmt.Errorf("another server answers for the %s: %s, the cutover began on %s", s.side, id, want)
	}
	return nil
}

func (s *Postgres) writeGate(ctx context.Context, tx pgx.Tx, before, after protocol.Gate) error {
	if after == before {
		return nil
	}
	state := "closed"
	if after.Open {
		state = "open"
	}
	_, err := tx.Exec(ctx, "UPDATE crossfade.gate SET state = $3, epoch = $4, changed_at = clock_timestamp() WHERE migration = $1 AND side = $2", s.cfg.Migration, s.side, state, after.Epoch)
	return err
}

// raise sets a sequence, never back. Setting is not undone by a rollback, but happens under the lock of the gate's row.
func (s *Postgres) raise(ctx context.Context, tx pgx.Tx, q cutover.Sequence) error {
	if q.SetTo == 0 {
		return nil
	}
	if q.Last > q.Max && !q.Cycle {
		return fmt.Errorf("sequence %s ends at %s, %s has issued %s", q.Name, q.Value(q.Max), q.Table, q.Value(q.Last))
	}
	if q.Free {
		if err := s.raiseFree(ctx, tx, q); err != nil {
			return fmt.Errorf("raise sequence %s: %w", q.Name, err)
		}
		return nil
	}
	if _, err := tx.Exec(ctx, "SELECT setval($1::text::regclass, GREATEST(last_value, $2::bigint), true) FROM "+q.Name, q.Name, int64(min(q.SetTo, q.Max))); err != nil {
		return fmt.Errorf("raise sequence %s: %w", q.Name, err)
	}
	return nil
}

const postgresEntry = `INSERT INTO crossfade.journal AS j (migration, side, epoch, step, run, instance, intent_at, done_at, outcome, evidence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb) ON CONFLICT (migration, side, epoch, step, run) `

// entryArgs: the journal's key names the side that is left.
func (s *Postgres) entryArgs(epoch int64, e cutover.Entry) []any {
	var done *time.Time
	var outcome, evidence *string
	if !e.DoneAt.IsZero() {
		text := string(e.Evidence)
		if text == "" {
			text = "{}"
		}
		// jsonb has no NUL; a value of the application may have one.
		text = strings.ReplaceAll(text, `\u0000`, `\ufffd`)
		done, outcome, evidence = &e.DoneAt, &e.Outcome, &text
	}
	return []any{s.cfg.Migration, s.left(), epoch, e.Step, e.Run, e.Instance, e.IntentAt, done, outcome, evidence}
}

func (s *Postgres) writeEntries(ctx context.Context, tx pgx.Tx, epoch int64, entries []cutover.Entry) error {
	for _, e := range entries {
		if _, err := tx.Exec(ctx, postgresEntry+"DO UPDATE SET done_at = excluded.done_at, outcome = excluded.outcome, evidence = excluded.evidence WHERE j.done_at IS NULL",
			s.entryArgs(epoch, e)...); err != nil {
			return fmt.Errorf("journal step %s: %w", e.Step, err)
		}
	}
	return nil
}

// lives locks the row that says so, and reports whether the journal of an attempt may be written: on the side left while it lives, on the side entered
// while the gate stands open under the epoch.
func (s *Postgres) lives(ctx context.Context, tx pgx.Tx, epoch int64) error {
	if s.role() == protocol.Leaving {
		return s.live(ctx, tx, epoch)
	}
	g, _, err := s.gate(ctx, tx, " FOR UPDATE")
	if err != nil {
		return err
	}
	if !g.Open || g.Epoch != epoch {
		return errUnchanged
	}
	return nil
}

// Record writes entries while the gate is open under the epoch.
func (s *Postgres) Record(ctx context.Context, epoch int64, entries []cutover.Entry) (bool, error) {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		if err := s.lives(ctx, tx, epoch); err != nil {
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
func (s *Postgres) Intend(ctx context.Context, e cutover.Entry) (bool, error) {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		if err := s.lives(ctx, tx, e.Epoch); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, postgresEntry+"DO NOTHING", s.entryArgs(e.Epoch, e)...)
		if err == nil && tag.RowsAffected() == 0 {
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
func (s *Postgres) Journal(ctx context.Context, epoch int64) (out []cutover.Entry, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT epoch, step, run, instance, intent_at, done_at, COALESCE(outcome, ''), COALESCE(evidence::text, '') FROM crossfade.journal
			WHERE migration = $1 AND side = $2 AND epoch = CASE WHEN $3::bigint > 0 THEN $3 ELSE (SELECT max(epoch) FROM crossfade.journal WHERE migration = $1 AND side = $2) END
			ORDER BY intent_at, step, run`, s.cfg.Migration, s.left(), epoch)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e cutover.Entry, err error) {
			var done *time.Time
			var evidence string
			if err = row.Scan(&e.Epoch, &e.Step, &e.Run, &e.Instance, &e.IntentAt, &done, &e.Outcome, &evidence); err != nil {
				return e, err
			}
			if done != nil {
				e.DoneAt = *done
			}
			e.Evidence = []byte(evidence)
			return e, nil
		})
		return err
	})
	if noRelation(err) {
		return nil, nil // before the first start, and after cleanup
	}
	if err != nil {
		return nil, fmt.Errorf("read crossfade.journal of the %s: %w", s.side, err)
	}
	return out, nil
}

// Beat commits a change of a row that nobody reads, and says how long that took.
func (s *Postgres) Beat(ctx context.Context) (took time.Duration, err error) {
	start := time.Now()
	err = s.with(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "UPDATE crossfade.attempt SET finished_at = clock_timestamp() WHERE migration = $1 AND side = $2 AND epoch = 0", s.cfg.Migration, s.side)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("commit on the %s: %w", s.side, busyPostgres(err))
	}
	return time.Since(start), nil
}
