package gate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// What a fence refuses is rolled back, and so would be any row that counted it. PostgreSQL has numbers that no rollback takes back: those of a sequence. MySQL counts errors by
// account and number itself. MariaDB does neither in a way that its writers would not pay for.

// refusedSequence counts, in PostgreSQL, what the fence of this migration has refused.
func (s *Postgres) refusedSequence() string { return "crossfade.refused_" + hash(s.cfg.Migration) }

// Refused is how often the fence has refused a statement of somebody else, since it was first closed.
func (s *Postgres) Refused(ctx context.Context) (n uint64, counted bool, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		var there bool
		if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", s.refusedSequence()).Scan(&there); err != nil || !there {
			return err
		}
		counted = true
		return conn.QueryRow(ctx, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM "+s.refusedSequence()).Scan(&n)
	})
	if err != nil {
		return 0, false, fmt.Errorf("count what the %s has refused: %w", s.side, err)
	}
	return n, counted, nil
}

// Refused is how often the server has refused a write of another account as our triggers do, since it was started.
func (s *MySQL) Refused(ctx context.Context) (n uint64, counted bool, err error) {
	if s.mariadb() {
		return 0, false, nil
	}
	err = s.db.QueryRowContext(ctx, "SELECT COALESCE(SUM(SUM_ERROR_RAISED), 0) FROM performance_schema.events_errors_summary_by_account_by_error WHERE ERROR_NUMBER = ? AND USER <> ?",
		errGate, s.cfg.Login.User).Scan(&n)
	if err != nil {
		return 0, false, fmt.Errorf("count what the %s has refused: %w; GRANT SELECT ON performance_schema.* to the user of %s.url", s.side, err, s.side)
	}
	return n, true, nil
}
