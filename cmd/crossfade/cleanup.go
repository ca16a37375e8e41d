package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/stream"
)

func newCleanup(g *global) *cobra.Command {
	var openOld bool
	c := g.printing(&cobra.Command{Use: "cleanup", Short: "Remove crossfade's stream, tables and triggers",
		Long: "Remove what the migration has made in both databases and on disk. The rows in the target stay.\n" +
			"After a completed migration the old side stays closed, by triggers that need nothing of ours; --open-old removes those too. Safe to repeat.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			release, err := control.Lock(cfg.Dir())
			if errors.Is(err, control.ErrLocked) {
				return control.Fail(control.ExitRefused, err, "")
			} else if err != nil {
				return err
			}
			defer release()
			m := newMigration(cfg, quiet)
			defer m.close()
			if err := m.cleanup(cmd.Context(), openOld); err != nil {
				return err
			}
			left, err := m.dropUsers(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return g.print(left)
			}
			_, err = fmt.Fprintf(g.out, "cleaned up; when no other migration needs crossfade's users, they can go:\n  source: %s\n  target: %s\n", left.Source, left.Target)
			return err
		}})
	c.Flags().BoolVar(&openOld, "open-old", false, "let the old side take writes again")
	return c
}

// usersLeft are the statements that drop crossfade's users: printed, not run.
type usersLeft struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

func (m *migration) dropUsers(ctx context.Context) (out usersLeft, err error) {
	if out.Source, err = m.source.DropUser(ctx); err != nil {
		return out, err
	}
	var owner string
	err = m.pool.QueryRow(ctx, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()").Scan(&owner)
	if err != nil {
		return out, fmt.Errorf("ask the target for its owner: %w", err)
	}
	role := pgx.Identifier{m.cfg.Target.URL.User()}.Sanitize()
	// The role owns the tables that were moved, and they stay.
	out.Target = fmt.Sprintf("REASSIGN OWNED BY %[1]s TO %[2]s; DROP OWNED BY %[1]s; DROP ROLE %[1]s", role, pgx.Identifier{owner}.Sanitize())
	return out, nil
}

// cleanup removes everything of the migration but the rows. Each step may be the last that is done: the source is sealed before anything else goes, and while
// the ledger stands on the target without its stream, run refuses to start.
func (m *migration) cleanup(ctx context.Context, openOld bool) error {
	if err := m.openDatabases(ctx); err != nil {
		return err
	}
	gates, err := openGates(ctx, m.cfg, &m.ends)
	if err != nil {
		return err
	}
	defer gates.close()
	if err := gates.settle(ctx, m.cfg, openOld); err != nil {
		return err
	}
	if err := stream.Remove(ctx, streamConfig(m.cfg)); err != nil {
		return err
	}
	if err := gates.remove(ctx); err != nil {
		return err
	}
	if err := m.source.Remove(ctx); err != nil {
		return err
	}
	if err := m.removeFromTarget(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(m.cfg.Dir()); err != nil {
		return fmt.Errorf("remove the state directory: %w", err)
	}
	return nil
}

// removeFromTarget removes what verification and the applier keep there, the ledger last.
func (m *migration) removeFromTarget(ctx context.Context) error {
	_, err := m.pool.Exec(ctx, fmt.Sprintf(`DO $$ BEGIN
		IF to_regclass('crossfade.touched') IS NULL THEN RETURN; END IF;
		DELETE FROM crossfade.touched WHERE migration = '%s';
		IF NOT EXISTS (SELECT FROM crossfade.touched) THEN DROP TABLE crossfade.touched; END IF;
	END $$`, databaseName(m.cfg.Name))) // a-z, 0-9 and _
	if err != nil {
		return fmt.Errorf("remove the migration from crossfade.touched of the target: %w", err)
	}
	if err := m.target.Remove(ctx); err != nil {
		return err
	}
	// The schema goes with its last table, unless whoever made it for us would have to make it again.
	_, err = m.pool.Exec(ctx, `DO $$ BEGIN
		IF has_database_privilege(current_database(), 'CREATE') THEN DROP SCHEMA IF EXISTS crossfade; END IF;
	EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;
	END $$`)
	if err != nil {
		return fmt.Errorf("drop the schema crossfade of the target: %w", err)
	}
	return nil
}
