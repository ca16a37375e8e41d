package mysql

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

// What is done with a source before and after it is followed.

// Catalog reads the tables that match says yes to, without crossfade's own.
func (s *Source) Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error) {
	return catalog.MySQL(ctx, s.db, func(schema, table string) bool { return schema != ownSchema && match(schema, table) })
}

// Sequences are those of PostgreSQL: MySQL has none, and MariaDB's are named by Check.
func (s *Source) Sequences(context.Context, []*catalog.Table) ([]catalog.Sequence, error) {
	return nil, nil
}

// CheckProbe proves that our own user may try the write that the fence must refuse: without the privilege it would be refused anyway, and prove nothing.
func (s *Source) CheckProbe(ctx context.Context, tables []*catalog.Table) (out []catalog.Finding, err error) {
	denied := map[string]bool{}
	for _, t := range tables {
		if denied[t.Schema] {
			continue
		}
		_, err := s.db.ExecContext(ctx, "EXPLAIN INSERT INTO "+quoteTable(t)+" () VALUES ()") // asks for the privilege, and writes nothing
		var refused *mysql.MySQLError
		switch {
		case isServerError(err, erTableDenied):
			denied[t.Schema] = true
			out = append(out, catalog.Finding{Severity: catalog.Error, Code: "probe", Object: t.String(), Reason: "without source.probe_url the fence is tried by a write of our own, which may not write: " + err.Error(),
				Remedy: "set source.probe_url to a user of the application (better), or GRANT INSERT ON " + quoteName(t.Schema) + ".* to the user of source.url"})
		case err != nil && !errors.As(err, &refused): // what else is wrong with such a row matters not
			return nil, err
		}
	}
	return out, nil
}

// DropUser is the statement that drops our user.
func (s *Source) DropUser(ctx context.Context) (statement string, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT CONCAT('DROP USER ', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))").Scan(&statement)
	if err != nil {
		return "", fmt.Errorf("ask the source for our user: %w", err)
	}
	return statement, nil
}

// Remove removes what capture keeps there: tables go with the last migration, and the database with its last table. It may be repeated.
func (s *Source) Remove(ctx context.Context) error {
	count := func(query string, args ...any) (n int, err error) {
		if err := s.db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
			return 0, fmt.Errorf("look into the database crossfade of the source: %w", err)
		}
		return n, nil
	}
	for _, table := range []string{"marker", "heartbeat"} {
		there, err := count("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'crossfade' AND table_name = ?", table)
		if err != nil {
			return err
		}
		if there == 0 {
			continue
		}
		if _, err := s.db.ExecContext(ctx, "DELETE FROM crossfade."+table+" WHERE migration = ?", s.cfg.Migration); err != nil {
			return fmt.Errorf("remove the migration from crossfade.%s of the source: %w", table, err)
		}
		if left, err := count("SELECT COUNT(*) FROM crossfade." + table); err != nil {
			return err
		} else if left > 0 {
			continue
		}
		if _, err := s.db.ExecContext(ctx, "DROP TABLE crossfade."+table); err != nil {
			return fmt.Errorf("drop crossfade.%s of the source: %w", table, err)
		}
	}
	left, err := count("SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'crossfade') + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = 'crossfade')")
	if err != nil || left > 0 {
		return err
	}
	if _, err := s.db.ExecContext(ctx, "DROP DATABASE IF EXISTS crossfade"); err != nil {
		return fmt.Errorf("drop the database crossfade of the source: %w", err)
	}
	return nil
}

// Storage is nothing here: whatever changes rows is in the log.
func (s *Source) Storage(context.Context, []*catalog.Table) (map[string]string, error) {
	return nil, nil
}

// CheckWhole finds nothing: the server is checked for full row images, and a session that asks for less stops a table with a condition.
func (s *Source) CheckWhole(context.Context, []*catalog.Table) ([]catalog.Finding, error) {
	return nil, nil
}
