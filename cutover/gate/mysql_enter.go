package gate

import (
	"context"
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
	if c.Rule.Revoke { // as on PostgreSQL: the counter goes on with every write of the row
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

// raise sets a counter, never back.
func (s *MySQL) raise(ctx context.Context, tx *sql.Tx, q cutover.Sequence) error {
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
	if err := s.count(ctx, tx, s.tables[at], s.number(s.cfg.Tables[at]), min(q.SetTo, q.Max), q.Max); err != nil {
		return fmt.Errorf("raise the counter of %s: %w", q.Name, err)
	}
	return nil
}

// count brings a counter to a number. ALTER TABLE would end the transaction and wait for our own open reads, and one that runs late can set a counter back: a row
// with the number is inserted and taken back, which the counter, that no rollback moves, remembers. INSERT ... SELECT makes it remember also a row that meets a
// unique key, and INSERT ... VALUES does not. A row of defaults is tried first; if a constraint refuses it, a copy of a row that stands there and so satisfies them all.
func (s *MySQL) count(ctx context.Context, tx *sql.Tx, t cutover.Name, column string, to, limit uint64) (err error) {
	if now, err := s.counter(ctx, tx, t); err != nil || now >= to {
		return err
	}
	mode, relaxed := "@crossfade_mode = @@sql_mode, @crossfade_checks = @@foreign_key_checks", "sql_mode = '', foreign_key_checks = 0"
	restore := "SET SESSION sql_mode = @crossfade_mode, foreign_key_checks = @crossfade_checks"
	if s.mariadb() {
		mode, relaxed = mode+", @crossfade_constraints = @@check_constraint_checks", relaxed+", check_constraint_checks = 0"
		restore += ", check_constraint_checks = @crossfade_constraints"
	}
	if _, err := tx.ExecContext(ctx, "SET "+mode); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "SET SESSION "+relaxed); err != nil {
		return err
	}
	defer func() { // the session goes back to the others
		if _, e := tx.ExecContext(ctx, restore); err == nil {
			err = e
		}
	}()
	name := quoteMySQL(t.Schema) + "." + quoteMySQL(t.Table)
	refused, err := s.rowAndBack(ctx, tx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %d FROM DUAL", name, quoteMySQL(column), to))
	if err != nil {
		return err
	}
	if refused != nil {
		others, err := s.given(ctx, tx, t, column)
		if err != nil {
			return err
		}
		copied, err := s.rowAndBack(ctx, tx, fmt.Sprintf("INSERT INTO %[1]s (%[2]s%[3]s) SELECT %[4]d%[3]s FROM %[1]s LIMIT 1", name, quoteMySQL(column), others, to))
		if err != nil {
			return err
		}
		if copied != nil {
			return fmt.Errorf("a row of defaults is refused: %w; and a copy of a row: %w", refused, copied)
		}
	}
	now, err := s.counter(ctx, tx, t)
	if err == nil && now < to && (to < limit || now < to-1) { // at its end a counter does not say whether it has given out the last number
		err = fmt.Errorf("it stands at %d after it was raised to %d", now, to)
		if refused != nil {
			err = fmt.Errorf("a row of defaults is refused, and there is none to copy: %w", refused)
		}
	}
	return err
}

// rowAndBack runs a statement and takes back what it did. It reports how the row was refused: that it meets a unique key is none. An error ends the transaction.
func (s *MySQL) rowAndBack(ctx context.Context, tx *sql.Tx, insert string) (refused, err error) {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT crossfade_counter"); err != nil {
		return nil, err
	}
	_, refused = tx.ExecContext(ctx, insert)
	switch mysqlErr(refused) {
	case errLockTimeout, errDeadlock:
		return nil, refused
	case errDuplicate:
		refused = nil
	case 0:
		if refused != nil {
			return nil, refused
		}
	}
	_, err = tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT crossfade_counter")
	return refused, err
}

// given lists the columns besides one to which a value can be given, each after a comma.
func (s *MySQL) given(ctx context.Context, q querier, t cutover.Name, besides string) (list string, err error) {
	rows, err := q.QueryContext(ctx, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_NAME <> ? AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION",
		t.Schema, t.Table, besides)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return "", err
		}
		list += ", " + quoteMySQL(name)
	}
	return list, rows.Err()
}

// checkCounters raises every counter by one, in a transaction that is taken back: what keeps it from being raised must be known before the fence.
func (s *MySQL) checkCounters(ctx context.Context) (out []cutover.Finding, err error) {
	all, err := s.Generators(ctx)
	if err != nil {
		return nil, nil // the go/no-go names it
	}
	for _, q := range all {
		if q.Now >= q.Max {
			continue
		}
		var refused error
		q.SetTo = q.Now + 1
		err := s.tx(ctx, func(tx *sql.Tx) error {
			if refused = s.raise(ctx, tx, q); refused != nil {
				return refused
			}
			return errUnchanged
		})
		switch {
		case refused == nil && errors.Is(err, errUnchanged):
		case errors.Is(err, cutover.ErrBusy): // rows are being applied; it is tried again by the next check
		case refused != nil && ctx.Err() == nil:
			out = append(out, finding("error", "counter", q.Name, fmt.Sprintf("drop what the error names until after the cutover, or see to it that the table has a row before it: that is copied; the user of %s.url needs SELECT and INSERT", s.side),
				"its AUTO_INCREMENT cannot be raised: %v", refused))
		default:
			return nil, err
		}
	}
	return out, nil
}
