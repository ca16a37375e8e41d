package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
)

// Analyze gathers the statistics of the tables that have changed since theirs were. A partitioned table is analyzed with its partitions, whatever was gathered of them: the
// statistics of the whole are gathered by nobody else. ANALYZE keeps neither readers nor writers waiting.
func (s *Postgres) Analyze(ctx context.Context) (out cutover.Analyzed, err error) {
	for _, t := range s.cfg.Tables {
		name := quotePostgres(s.here(t))
		err := s.with(ctx, func(conn *pgx.Conn) error {
			var fresh, may bool
			if err := conn.QueryRow(ctx, `SELECT c.relkind = 'r' AND c.reltuples >= 0 AND COALESCE(u.last_analyze, u.last_autoanalyze) IS NOT NULL AND u.n_mod_since_analyze <= c.reltuples / 100,
				pg_has_role(c.relowner, 'USAGE') FROM pg_class c LEFT JOIN pg_stat_all_tables u ON u.relid = c.oid WHERE c.oid = $1::text::regclass`, name).Scan(&fresh, &may); err != nil {
				return err
			}
			if fresh {
				out.Fresh++
				return nil
			}
			if !may { // the server would only warn
				return errors.New("only its owner can analyze it")
			}
			if _, err := conn.Exec(ctx, "ANALYZE "+name); err != nil {
				return err
			}
			out.Tables++
			return nil
		})
		if ctx.Err() != nil {
			return out, err
		}
		out.Failed = append(out.Failed, notGathered(s.here(t), err)...)
	}
	return out, nil
}

func notGathered(t cutover.Name, err error) []cutover.NotAnalyzed {
	if err == nil {
		return nil
	}
	return []cutover.NotAnalyzed{{Table: t.String(), Why: err.Error()}}
}

// longQuery is how long a query may have run that ANALYZE is taken beside: the server has every table opened anew after it, and whoever comes then, our applier too,
// waits for those who have it open.
const longQuery = time.Second

// Analyze gathers the statistics of every table, unless a long query runs. What has changed since they were gathered last is known only to who may read the server's own tables.
func (s *MySQL) Analyze(ctx context.Context) (out cutover.Analyzed, err error) {
	for _, t := range s.tables {
		err := s.analyze(ctx, t)
		if err == nil {
			out.Tables++
		}
		if ctx.Err() != nil {
			return out, err
		}
		out.Failed = append(out.Failed, notGathered(t, err)...)
	}
	return out, nil
}

func (s *MySQL) analyze(ctx context.Context, t cutover.Name) (err error) {
	running := "SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_COMMAND IN ('Query', 'Execute') AND PROCESSLIST_TIME >= ? AND PROCESSLIST_USER <> ?"
	if s.mariadb() {
		running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Query', 'Execute') AND TIME >= ? AND USER <> ?"
	}
	var long int
	// Without the privilege (SELECT on performance_schema; PROCESS on MariaDB) none is seen.
	if err := s.db.QueryRowContext(ctx, running, int(longQuery.Seconds()), s.cfg.Login.User).Scan(&long); err == nil && long > 0 {
		return fmt.Errorf("%d queries have run for more than %v, and ANALYZE would make others wait for them", long, longQuery)
	}
	rows, err := s.db.QueryContext(ctx, "ANALYZE NO_WRITE_TO_BINLOG TABLE "+quoteMySQL(t.Schema)+"."+quoteMySQL(t.Table))
	if err != nil {
		return err
	}
	defer rows.Close()
	var table, op, kind, text string
	for rows.Next() {
		if err := rows.Scan(&table, &op, &kind, &text); err != nil {
			return err
		}
		if strings.EqualFold(kind, "error") { // the statement itself succeeds
			return errors.New(text)
		}
	}
	return rows.Err()
}
