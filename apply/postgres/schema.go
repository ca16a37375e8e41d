package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
)

// schema makes our tables. The ledger and the counts are updated all the time: room on their pages keeps the updates in place.
const schema = `
CREATE SCHEMA IF NOT EXISTS crossfade;
CREATE TABLE IF NOT EXISTS crossfade.ledger (
  migration text NOT NULL, side text NOT NULL, lane integer NOT NULL, lanes integer NOT NULL,
  stream_id text NOT NULL DEFAULT '', seq bigint NOT NULL DEFAULT 0, sum bigint NOT NULL DEFAULT 0, token bigint NOT NULL DEFAULT 0, counter bigint NOT NULL DEFAULT 1,
  marker_epoch bigint NOT NULL DEFAULT 0, source_time bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (migration, side, lane)) WITH (fillfactor = 20);
CREATE TABLE IF NOT EXISTS crossfade.tables (
  migration text NOT NULL, side text NOT NULL, source_table text NOT NULL, target_table text NOT NULL, shape bigint NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'copying' CHECK (state IN ('copying', 'strict')), one_lane boolean NOT NULL DEFAULT false, strict_seq bigint NOT NULL DEFAULT 0,
  next bytea, next_seq bigint NOT NULL DEFAULT 0, rows_copied bigint NOT NULL DEFAULT 0, copied boolean NOT NULL DEFAULT false,
  PRIMARY KEY (migration, side, source_table)) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS crossfade.counts (
  migration text NOT NULL, side text NOT NULL, lane integer NOT NULL, source_table text NOT NULL,
  copied bigint NOT NULL DEFAULT 0, inserted bigint NOT NULL DEFAULT 0, updated bigint NOT NULL DEFAULT 0, deleted bigint NOT NULL DEFAULT 0, missed bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (migration, side, lane, source_table)) WITH (fillfactor = 20);
CREATE TABLE IF NOT EXISTS crossfade.held (
  migration text NOT NULL, side text NOT NULL, lane integer NOT NULL, source_table text NOT NULL,
  from_seq bigint NOT NULL, key text NOT NULL DEFAULT '', reason text NOT NULL, remedy text NOT NULL DEFAULT '', since timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration, side, lane, source_table));
CREATE TABLE IF NOT EXISTS crossfade.recopy (
  migration text NOT NULL, side text NOT NULL, source_table text NOT NULL, key bytea NOT NULL, seq bigint NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS recopy_key ON crossfade.recopy (migration, side, source_table, sha256(key));
CREATE TABLE IF NOT EXISTS crossfade.cascaded (
  migration text NOT NULL, side text NOT NULL, source_table text NOT NULL, key bytea NOT NULL, seq bigint NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS cascaded_key ON crossfade.cascaded (migration, side, source_table, sha256(key));
CREATE TABLE IF NOT EXISTS crossfade.settled (
  migration text NOT NULL, side text NOT NULL, source_table text NOT NULL, PRIMARY KEY (migration, side, source_table));
`

var ourTables = []string{"ledger", "tables", "counts", "held", "recopy", "cascaded", "settled"}

// lockKey serializes those who make or remake our tables and ledger rows.
const lockKey = `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('crossfade', 0))`

// Setup makes our tables, and registers the tables of the migration. What is known of them already stays. It may be repeated.
func (t *Target) Setup(ctx context.Context, tables []apply.TableSetup) error {
	return t.do(ctx, "set up the target", func(s *session) error {
		for _, table := range tables {
			if _, err := s.readMeta(ctx, table.Target); err != nil {
				return err
			}
		}
		return s.inTransaction(ctx, func() error {
			if _, err := s.conn.Exec(ctx, lockKey+";"+schema).ReadAll(); err != nil {
				return classify(fmt.Errorf("make schema crossfade: %w; the user needs CREATE on the database, or make the schema for it", err))
			}
			for i := range tables {
				if err := s.register(ctx, &tables[i]); err != nil {
					return fmt.Errorf("register table %s: %w", tables[i].Source, err)
				}
			}
			return nil
		})
	})
}

// StartAt lets the next applier start behind a frame. It may be repeated; a ledger that is further stays.
func (t *Target) StartAt(ctx context.Context, _ []apply.TableSetup, lanes int, stream string, place apply.Place) error {
	return t.do(ctx, "start applying behind a frame", func(s *session) error {
		return s.inTransaction(ctx, func() error {
			if _, err := s.exec(ctx, lockKey); err != nil {
				return err
			}
			token, err := s.newToken(ctx)
			if err != nil {
				return err
			}
			if token == 0 {
				if err := s.newLanes(ctx, lanes); err != nil {
					return err
				}
			}
			_, err = s.exec(ctx, "UPDATE crossfade.ledger SET stream_id = $3, seq = $4::bigint, sum = $5::bigint, counter = counter + 1 WHERE migration = $1 AND side = $2 AND seq < $4::bigint",
				t.migration, t.side, stream, int64Text(place.Seq), int64Text(place.Sum))
			return err
		})
	})
}

// register writes a table down. One that was spread over lanes and must be in one from now on changes its lane here, where no applier runs any more,
// and only while all lanes stand on one frame: else one of them would skip changes, or repeat them.
func (s *session) register(ctx context.Context, table *apply.TableSetup) error {
	m, side := s.target.migration, s.target.side
	state, copied, strictSeq := table.Registered()
	rows, err := s.query(ctx, `INSERT INTO crossfade.tables AS t (migration, side, source_table, target_table, shape, one_lane, state, copied, strict_seq)
VALUES ($1, $2, $3, $4, $5::bigint, $6::boolean, $7, $8::boolean, $9::bigint)
ON CONFLICT (migration, side, source_table) DO UPDATE SET target_table = EXCLUDED.target_table, shape = EXCLUDED.shape RETURNING one_lane`,
		m, side, table.Source, table.Target.String(), int64Text(table.Target.ID()), strconv.FormatBool(table.InOneLane()), state, strconv.FormatBool(copied), strconv.FormatInt(strictSeq, 10))
	if err != nil {
		return err
	}
	if string(rows[0][0]) == "t" || !table.InOneLane() {
		return nil
	}
	if _, err := s.newToken(ctx); err != nil {
		return err
	}
	lanes, err := s.Ledger(ctx)
	if err != nil {
		return err
	}
	held, err := s.held(ctx)
	if err != nil {
		return err
	}
	if err := apply.CanJoin(lanes, held, table.Source); err != nil {
		return err
	}
	_, err = s.exec(ctx, "UPDATE crossfade.tables SET one_lane = true WHERE migration = $1 AND side = $2 AND source_table = $3", m, side, table.Source)
	return err
}

// Remove deletes everything of this migration from our tables, and drops them, and the schema, when nothing else uses them.
func (t *Target) Remove(ctx context.Context) error {
	return t.do(ctx, "remove the migration from the target", func(s *session) error {
		rows, err := s.query(ctx, "SELECT pg_catalog.to_regclass('crossfade.ledger') IS NOT NULL AND pg_catalog.to_regclass('crossfade.settled') IS NOT NULL")
		if err != nil {
			return err
		}
		if string(rows[0][0]) == "t" {
			if err := s.removeTables(ctx); err != nil {
				return err
			}
		}
		_, err = s.exec(ctx, dropSchema)
		return err
	})
}

func (s *session) removeTables(ctx context.Context) error {
	t := s.target
	return s.inTransaction(ctx, func() error {
		if _, err := s.exec(ctx, lockKey); err != nil {
			return err
		}
		for _, table := range ourTables {
			if _, err := s.exec(ctx, "DELETE FROM crossfade."+table+" WHERE migration = $1 AND side = $2", t.migration, t.side); err != nil {
				return err
			}
		}
		rows, err := s.query(ctx, "SELECT NOT EXISTS (SELECT 1 FROM crossfade.ledger) AND NOT EXISTS (SELECT 1 FROM crossfade.tables)")
		if err != nil || string(rows[0][0]) != "t" {
			return err
		}
		_, err = s.exec(ctx, "DROP TABLE crossfade."+strings.Join(ourTables, ", crossfade."))
		return err
	})
}

// inTransaction runs f between BEGIN and COMMIT.
func (s *session) inTransaction(ctx context.Context, f func() error) error {
	if _, err := s.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := f(); err != nil {
		s.rollback(ctx)
		return err
	}
	if _, err := s.exec(ctx, "COMMIT"); err != nil {
		s.rollback(ctx)
		return err
	}
	return nil
}

// int64Text is how an unsigned 64-bit number stands in a bigint column: with the same bits.
func int64Text(n uint64) string { return strconv.FormatInt(int64(n), 10) }

func uint64Of(b []byte) (uint64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	return uint64(n), err
}
