package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
)

const options = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

// schema makes our tables.
var schema = []string{
	"CREATE DATABASE IF NOT EXISTS crossfade",
	`CREATE TABLE IF NOT EXISTS crossfade.ledger (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, lane int NOT NULL, lanes int NOT NULL,
  stream_id varchar(64) NOT NULL DEFAULT '', seq bigint NOT NULL DEFAULT 0, sum bigint NOT NULL DEFAULT 0, token bigint NOT NULL DEFAULT 0, counter bigint NOT NULL DEFAULT 1,
  marker_epoch bigint NOT NULL DEFAULT 0, source_time bigint NOT NULL DEFAULT 0, PRIMARY KEY (migration, side, lane))` + options,
	`CREATE TABLE IF NOT EXISTS crossfade.tables (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, source_table varchar(255) NOT NULL, target_table varchar(255) NOT NULL,
  shape bigint NOT NULL DEFAULT 0, state varchar(16) NOT NULL DEFAULT 'copying', one_lane boolean NOT NULL DEFAULT false, strict_seq bigint NOT NULL DEFAULT 0,
  next longblob, next_seq bigint NOT NULL DEFAULT 0, rows_copied bigint NOT NULL DEFAULT 0, copied boolean NOT NULL DEFAULT false, PRIMARY KEY (migration, side, source_table))` + options,
	`CREATE TABLE IF NOT EXISTS crossfade.counts (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, lane int NOT NULL, source_table varchar(255) NOT NULL,
  copied bigint NOT NULL DEFAULT 0, inserted bigint NOT NULL DEFAULT 0, updated bigint NOT NULL DEFAULT 0, deleted bigint NOT NULL DEFAULT 0, missed bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (migration, side, lane, source_table))` + options,
	"CREATE TABLE IF NOT EXISTS crossfade.held (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, lane int NOT NULL, source_table varchar(255) NOT NULL," +
		" from_seq bigint NOT NULL, `key` longtext NOT NULL, reason longtext NOT NULL, remedy longtext NOT NULL, since datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), PRIMARY KEY (migration, side, lane, source_table))" + options,
	"CREATE TABLE IF NOT EXISTS crossfade.recopy (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, source_table varchar(255) NOT NULL, hash binary(32) NOT NULL, `key` longblob NOT NULL," +
		" seq bigint NOT NULL, PRIMARY KEY (migration, side, source_table, hash))" + options,
	"CREATE TABLE IF NOT EXISTS crossfade.cascaded (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, source_table varchar(255) NOT NULL, hash binary(32) NOT NULL, `key` longblob NOT NULL," +
		" seq bigint NOT NULL, PRIMARY KEY (migration, side, source_table, hash))" + options,
	"CREATE TABLE IF NOT EXISTS crossfade.settled (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, source_table varchar(255) NOT NULL, PRIMARY KEY (migration, side, source_table))" + options,
	`CREATE TABLE IF NOT EXISTS crossfade.triggers (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, schema_name varchar(64) NOT NULL, name varchar(64) NOT NULL, table_name varchar(64) NOT NULL,
  timing varchar(16) NOT NULL, event varchar(16) NOT NULL, definer varchar(400) NOT NULL, body longtext NOT NULL, mode text NOT NULL, charset varchar(64) NOT NULL, collation varchar(64) NOT NULL,
  changing boolean NOT NULL, position int NOT NULL, PRIMARY KEY (migration, side, schema_name, name))` + options,
}

var ourTables = []string{"ledger", "tables", "counts", "held", "recopy", "cascaded", "settled", "triggers"}

// there reports whether the ledger's table exists.
func (s *session) there(ctx context.Context) (bool, error) {
	rows, err := s.rows(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'crossfade' AND TABLE_NAME IN ('ledger', 'triggers')")
	return err == nil && rows[0][0] == "2", err
}

// Setup makes our tables, registers the tables of the migration, and keeps the application's triggers on them from acting on what is applied. What is known of them already stays. It may be repeated.
func (t *Target) Setup(ctx context.Context, tables []apply.TableSetup) error {
	return t.do(ctx, "set up the target", func(s *session) error {
		for _, table := range tables {
			if _, err := s.readMeta(ctx, table.Target); err != nil {
				return err
			}
		}
		for _, q := range schema {
			if _, err := s.exec(ctx, q); err != nil {
				return classify(fmt.Errorf("make database crossfade: %w; GRANT ALL ON crossfade.* to the user of target.url", err))
			}
		}
		if err := s.notePositions(ctx); err != nil {
			return err
		}
		err := s.alone(ctx, func() error {
			for i := range tables {
				if err := s.register(ctx, &tables[i]); err != nil {
					return fmt.Errorf("register table %s: %w", tables[i].Source, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return s.spareAll(ctx, slices.DeleteFunc(slices.Clone(tables), func(t apply.TableSetup) bool { return t.Filled })) // those are the application's until StartAt
	})
}

// StartAt lets the next applier start behind a frame, and keeps the application's triggers on the tables, which took its writes until now, from acting on what is
// applied. It may be repeated; a ledger that is further stays.
func (t *Target) StartAt(ctx context.Context, tables []apply.TableSetup, lanes int, stream string, place apply.Place) error {
	return t.do(ctx, "start applying behind a frame", func(s *session) error {
		if err := s.spareAll(ctx, tables); err != nil {
			return err
		}
		return s.alone(ctx, func() error {
			token, err := s.newToken(ctx)
			if err != nil {
				return err
			}
			if token == 0 {
				if err := s.newLanes(ctx, lanes); err != nil {
					return err
				}
			}
			_, err = s.exec(ctx, fmt.Sprintf("UPDATE crossfade.ledger SET stream_id = %s, seq = %s, sum = %s, counter = counter + 1 WHERE %s AND seq < %[2]s", text(stream), int64Text(place.Seq), int64Text(place.Sum), s.mine()))
			return classify(err)
		})
	})
}

// register writes a table down. One that was spread over lanes and must be in one from now on changes its lane here, where no applier runs any more, and
// only while all lanes stand on one frame: else one of them would skip changes, or repeat them.
func (s *session) register(ctx context.Context, table *apply.TableSetup) error {
	state, copied, strictSeq := table.Registered()
	_, err := s.exec(ctx, fmt.Sprintf("INSERT INTO crossfade.tables (migration, side, source_table, target_table, shape, one_lane, state, copied, strict_seq) VALUES (%s, %s, %s, %s, %t, %s, %t, %d) ON DUPLICATE KEY UPDATE target_table = %[3]s, shape = %[4]s",
		s.key(), text(table.Source), text(table.Target.String()), int64Text(table.Target.ID()), table.InOneLane(), text(state), copied, strictSeq))
	if err != nil {
		return classify(err)
	}
	where := s.mine() + " AND source_table = " + text(table.Source)
	rows, err := s.rows(ctx, "SELECT one_lane FROM crossfade.tables WHERE "+where)
	if err != nil || rows[0][0] == "1" || !table.InOneLane() {
		return err
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
	_, err = s.exec(ctx, "UPDATE crossfade.tables SET one_lane = true WHERE "+where)
	return classify(err)
}

// Remove makes the application's triggers as they were, deletes everything of this migration from our tables, and drops them, and the database, when nothing else uses them.
func (t *Target) Remove(ctx context.Context) error {
	return t.do(ctx, "remove the migration from the target", func(s *session) error {
		there, err := s.there(ctx)
		if err != nil {
			return err
		}
		if there {
			if err := errors.Join(s.notePositions(ctx), s.giveBack(ctx)); err != nil {
				return err
			}
			for _, table := range ourTables {
				if _, err := s.exec(ctx, "DELETE FROM crossfade."+table+" WHERE "+s.mine()); err != nil {
					return classify(err)
				}
			}
			rows, err := s.rows(ctx, "SELECT (SELECT COUNT(*) FROM crossfade.ledger) + (SELECT COUNT(*) FROM crossfade.tables)")
			if err != nil {
				return err
			}
			if rows[0][0] == "0" {
				if _, err := s.exec(ctx, "DROP TABLE crossfade."+strings.Join(ourTables, ", crossfade.")); err != nil {
					return classify(err)
				}
			}
		}
		rows, err := s.rows(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'crossfade'")
		if err != nil || rows[0][0] != "0" {
			return err
		}
		if err := s.run(ctx, "DROP DATABASE IF EXISTS crossfade"); err != nil && code(err) != 1044 {
			return classify(err)
		}
		return nil
	})
}
