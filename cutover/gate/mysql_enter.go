package gate

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// guardEpoch stands in the names of the triggers that close a side that is entered: a target from the first day, a source beside those of its fence.
const guardEpoch = 0

// Guard puts the triggers on every table that lacks them.
func (s *MySQL) Guard(ctx context.Context) error {
	if _, err := s.Install(ctx, guardEpoch); err != nil {
		return fmt.Errorf("close the %s: %w", s.side, err)
	}
	return nil
}

// checkGuard looks that every table is closed.
func (s *MySQL) checkGuard(ctx context.Context) (out []cutover.Finding, err error) {
	if err := s.Installed(ctx, guardEpoch); err != nil {
		out = append(out, finding("error", "gate", string(s.side), "restart `crossfade run`, and let nobody drop the triggers", "%v", err))
	}
	return out, nil
}

// enter runs a statement of the side entered.
func (s *MySQL) enter(ctx context.Context, tx *sql.Tx, c cutover.Call) error {
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
	before, err := s.gate(ctx, tx, " FOR UPDATE")
	if err != nil {
		return err
	}
	var id string
	if err := tx.QueryRowContext(ctx, "SELECT "+s.identity()).Scan(&id); err != nil {
		return fmt.Errorf("identity of the %s: %w", s.side, err)
	}
	if c.Identity != "" && id != c.Identity {
		return fmt.Errorf("another server answers for the %s: %s, the cutover began on %s", s.side, id, c.Identity)
	}
	db := protocol.DB{Gate: before, Attempt: own}
	if !c.Rule.Apply(&db, c.Epoch, false) {
		return errUnchanged
	}
	for _, q := range c.Sequences {
		if err := s.raise(ctx, tx, q); err != nil {
			return err
		}
	}
	if c.Rule.Revoke {
		if _, err := tx.ExecContext(ctx, "UPDATE crossfade.ledger SET token = token + 1, counter = counter + 1 WHERE migration = ? AND side = ?", s.cfg.Migration, s.side); err != nil {
			return fmt.Errorf("lock out the applier: %w", err)
		}
	}
	if db.Gate != before {
		state := "closed"
		if db.Gate.Open {
			state = "open"
		}
		if _, err := tx.ExecContext(ctx, "UPDATE crossfade.gate SET state = ?, epoch = ?, changed_at = NOW(6) WHERE migration = ? AND side = ?", state, db.Gate.Epoch, s.cfg.Migration, s.side); err != nil {
			return err
		}
	}
	return s.writeEntries(ctx, tx, c.Epoch, c.Entries)
}

// Lanes reads the newest marker of every lane. The ledger says how many lanes there are; one that has no row has applied nothing.
func (s *MySQL) Lanes(ctx context.Context) (out []cutover.Lane, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT lane, lanes, marker_epoch FROM crossfade.ledger WHERE migration = ? AND side = ? ORDER BY lane", s.cfg.Migration, s.side)
	if err != nil {
		return nil, fmt.Errorf("crossfade.ledger: %w", err)
	}
	defer rows.Close()
	lanes := 0
	for rows.Next() {
		var l cutover.Lane
		if err := rows.Scan(&l.Lane, &lanes, &l.Marker); err != nil {
			return nil, fmt.Errorf("crossfade.ledger: %w", err)
		}
		if l.Lane != len(out) {
			return nil, fmt.Errorf("crossfade.ledger: lane %d has no row", len(out))
		}
		out = append(out, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("crossfade.ledger: %w", err)
	}
	if len(out) == 0 || len(out) != lanes {
		return nil, fmt.Errorf("crossfade.ledger: %d lanes have a row, there are %d", len(out), lanes)
	}
	return out, nil
}

// counterLimits are the largest numbers of the integer types.
var counterLimits = map[string]uint64{"tinyint": 127, "tinyint unsigned": 255, "smallint": 32767, "smallint unsigned": 65535, "mediumint": 8388607, "mediumint unsigned": 16777215,
	"int": 2147483647, "int unsigned": 4294967295, "bigint": 9223372036854775807, "bigint unsigned": 18446744073709551614}

// Generators finds the counter of every column that goes on with the numbers of the other end.
func (s *MySQL) Generators(ctx context.Context) (out []cutover.Sequence, err error) {
	for _, t := range s.cfg.Tables {
		if t.AutoIncrement == "" || t.Sequence == "" {
			continue
		}
		here, column := s.here(t), s.number(t)
		q := cutover.Sequence{Name: here.String(), Table: s.there(t).String()}
		var typ, columnType, extra string
		err := s.db.QueryRowContext(ctx, "SELECT DATA_TYPE, COLUMN_TYPE, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_NAME = ?", here.Schema, here.Table, column).
			Scan(&typ, &columnType, &extra)
		if err != nil {
			return nil, fmt.Errorf("counter of %s.%s: %w", here, column, err)
		}
		if !strings.Contains(strings.ToLower(extra), "auto_increment") {
			return nil, fmt.Errorf("%s is numbered on the %s, but %s.%s has no AUTO_INCREMENT", q.Table, s.side.Other(), here, column)
		}
		if strings.Contains(columnType, "unsigned") {
			typ += " unsigned"
		}
		q.Max = counterLimits[typ]
		if q.Now, err = s.counter(ctx, s.db, here); err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// counter is the last number that a table's counter has issued.
func (s *MySQL) counter(ctx context.Context, q querier, t cutover.Name) (uint64, error) {
	var next sql.NullInt64
	err := q.QueryRowContext(ctx, "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.Schema, t.Table).Scan(&next)
	if err != nil {
		return 0, fmt.Errorf("counter of %s: %w", t, err)
	}
	return uint64(max(next.Int64-1, 0)), nil
}

// raise sets a counter, never back. ALTER TABLE would end the transaction, and wait for our own open reads: a row with the number is inserted and taken back,
// which the counter, that no rollback moves, remembers.
func (s *MySQL) raise(ctx context.Context, tx *sql.Tx, q cutover.Sequence) (err error) {
	if q.SetTo == 0 {
		return nil
	}
	if q.Last > q.Max {
		return fmt.Errorf("counter of %s ends at %d, %s has issued %d", q.Name, q.Max, q.Table, q.Last)
	}
	at := slices.IndexFunc(s.cfg.Tables, func(t cutover.Table) bool { return s.there(t).String() == q.Table })
	if at < 0 {
		return fmt.Errorf("counter of %s: %s is no table of this migration", q.Name, q.Table)
	}
	here, column := s.tables[at], s.number(s.cfg.Tables[at])
	to := min(q.SetTo, q.Max)
	if now, err := s.counter(ctx, tx, here); err != nil || now >= to {
		return err
	}
	columns, values := quoteMySQL(column), fmt.Sprint(to)
	// Columns that must be unique get something that is: the others what the server takes for nothing.
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT c.COLUMN_NAME, LEAST(COALESCE(c.CHARACTER_MAXIMUM_LENGTH, 0), 32) FROM information_schema.STATISTICS s JOIN information_schema.COLUMNS c
		ON c.TABLE_SCHEMA = s.TABLE_SCHEMA AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME
		WHERE s.TABLE_SCHEMA = ? AND s.TABLE_NAME = ? AND s.NON_UNIQUE = 0 AND c.IS_NULLABLE = 'NO' AND c.DATA_TYPE IN ('char', 'varchar', 'binary', 'varbinary') AND c.COLUMN_NAME <> ?`, here.Schema, here.Table, column)
	if err != nil {
		return fmt.Errorf("raise the counter of %s: %w", here, err)
	}
	for rows.Next() {
		var name string
		var length int
		if err := rows.Scan(&name, &length); err != nil {
			return errors.Join(fmt.Errorf("raise the counter of %s: %w", here, err), rows.Close())
		}
		columns += ", " + quoteMySQL(name)
		values += ", '" + strings.ToLower(rand.Text())[:min(length, 26)] + "'"
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("raise the counter of %s: %w", here, err)
	}
	const restore = "SET SESSION sql_mode = @crossfade_mode, foreign_key_checks = @crossfade_checks"
	for _, stmt := range []string{
		"SAVEPOINT crossfade_counter", "SET @crossfade_mode = @@sql_mode, @crossfade_checks = @@foreign_key_checks", "SET SESSION sql_mode = '', foreign_key_checks = 0",
		fmt.Sprintf("INSERT INTO %s.%s (%s) VALUES (%s)", quoteMySQL(here.Schema), quoteMySQL(here.Table), columns, values),
		"ROLLBACK TO SAVEPOINT crossfade_counter", restore,
	} {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			_, _ = tx.ExecContext(ctx, restore) // the session goes back to the others
			return fmt.Errorf("raise the counter of %s: %w", here, err)
		}
	}
	now, err := s.counter(ctx, tx, here)
	if err == nil && now < to && (to < q.Max || now < to-1) { // at its end a counter does not say whether it has given out the last number
		err = fmt.Errorf("the counter of %s stands at %d after it was raised to %d", here, now, to)
	}
	return err
}
