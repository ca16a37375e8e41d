package mysql

import (
	"context"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

// ownSchema is the database that holds crossfade's tables.
const ownSchema = "crossfade"

// setupStatements make what capture needs on the source. Each may be run again.
var setupStatements = []string{
	"CREATE DATABASE IF NOT EXISTS crossfade DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
	`CREATE TABLE IF NOT EXISTS crossfade.heartbeat (
		migration varchar(64) NOT NULL PRIMARY KEY,
		n bigint NOT NULL,
		at timestamp(6) NULL
	) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
	`CREATE TABLE IF NOT EXISTS crossfade.marker (
		migration varchar(64) NOT NULL,
		side varchar(16) NOT NULL,
		epoch bigint NOT NULL,
		kind varchar(16) NOT NULL,
		at timestamp(6) NULL DEFAULT CURRENT_TIMESTAMP(6),
		PRIMARY KEY (migration, side, epoch, kind)
	) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
}

// Setup makes the database crossfade and the tables that capture writes to. It may be called again and again.
func (s *Source) Setup(ctx context.Context, _ []*catalog.Table) error {
	for i, stmt := range setupStatements {
		if i == 0 && s.schemaExists(ctx, ownSchema) {
			continue // whoever may use it need not be allowed to create databases
		}
		if _, err := s.db.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("make crossfade's tables on %s: %w", s.cfg.Host, s.cfg.explain(err))
		}
	}
	return nil
}

func (s *Source) schemaExists(ctx context.Context, name string) bool {
	var n int
	err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", name).Scan(&n)
	return err == nil && n > 0
}
