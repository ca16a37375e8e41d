package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"time"

	"github.com/crossfade-io/crossfade/capture"
)

// executed is the set of all transactions that are committed now. A commit is visible before gtid_executed has it, with binlog_order_commits=OFF
// for as long as a semi-synchronous replica takes to answer; until then the server owns its GTID. So what it owns now is waited for.
func (s *Source) executed(ctx context.Context) (set gtidSet, err error) {
	fail := func(err error) (gtidSet, error) {
		return set, fmt.Errorf("ask %s for its position: %w", s.cfg.Host, err)
	}
	open, err := s.owned(ctx)
	if err != nil {
		return fail(err)
	}
	for deadline := time.Now().Add(s.proofWait); len(open.sources) > 0; {
		now, err := s.owned(ctx)
		if err != nil {
			return fail(err)
		}
		if open = open.intersect(&now); len(open.sources) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fail(fmt.Errorf("%w: it is still committing %s", capture.ErrNotVisible, &open))
		}
		select {
		case <-ctx.Done():
			return set, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
	var text string
	if err := s.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&text); err != nil {
		return fail(err)
	}
	if set, err = parseGTIDSet(text); err != nil {
		return fail(fmt.Errorf("gtid_executed: %w", err))
	}
	return set, nil
}

// gtidOwner stands behind every number of gtid_owned: the session that has it.
var gtidOwner = regexp.MustCompile(`#[0-9]+`)

// owned is the set of transactions that are being committed.
func (s *Source) owned(ctx context.Context) (set gtidSet, err error) {
	var text string
	if err := s.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_owned").Scan(&text); err != nil {
		return set, err
	}
	if set, err = parseGTIDSet(gtidOwner.ReplaceAllString(text, "")); err != nil {
		return set, fmt.Errorf("gtid_owned: %w", err)
	}
	return set, nil
}

// readCollations returns the character set of every collation, by its number in the log.
func readCollations(ctx context.Context, db *sql.DB) (map[uint64]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID IS NOT NULL")
	if isServerError(err, erBadField) { // only MariaDB has numbers there, and its collations may be of several sets
		rows, err = db.QueryContext(ctx, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS")
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[uint64]string{}
	for rows.Next() {
		var id uint64
		var charset string
		if err := rows.Scan(&id, &charset); err != nil {
			return nil, err
		}
		out[id] = charset
	}
	return out, rows.Err()
}

// foldsNames reports whether the server takes table names that differ in case only for the same.
func foldsNames(ctx context.Context, db *sql.DB) (bool, error) {
	var v int
	err := db.QueryRowContext(ctx, "SELECT @@lower_case_table_names").Scan(&v)
	return v != 0, err
}
