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
	c := &cobra.Command{Use: "cleanup", Short: "Remove crossfade's stream, tables and triggers",
		Long: "Remove what the migration has made in both databases and on disk. The rows in the target stay.\n" +
			"After a completed migration the old side stays closed, by triggers that need nothing of ours; --open-old removes those too. Safe to repeat.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			if _, err := control.NewClient(cfg.SocketPath()).Status(cmd.Context()); !errors.Is(err, control.ErrNotRunning) {
				return control.Fail(control.ExitRefused, errors.New("the daemon is running"), "stop it first")
			}
			m := newMigration(cfg, quiet)
			defer m.close()
			if err := m.cleanup(cmd.Context(), openOld); err != nil {
				return err
			}
			_, err = fmt.Fprintf(g.out, "cleaned up; the user can go when no other migration needs it:\n  source: DROP USER %s\n  target: DROP ROLE %s\n",
				cfg.Source.URL.User(), pgx.Identifier{cfg.Target.URL.User()}.Sanitize())
			return err
		}}
	c.Flags().BoolVar(&openOld, "open-old", false, "let the old side take writes again")
	return c
}

func (m *migration) cleanup(ctx context.Context, openOld bool) (err error) {
	if err := m.readMapping(ctx); err != nil {
		return err
	}
	if m.pool, err = openTarget(ctx, m.cfg.Target.URL); err != nil {
		return err
	}
	gates, err := openGates(ctx, m.cfg, &m.ends)
	if err != nil {
		return err
	}
	defer gates.close()
	if err := gates.cleanup(ctx, m.cfg, openOld); err != nil {
		return err
	}
	name := databaseName(m.cfg.Name)
	for _, table := range []string{"ledger", "tables", "counts", "held", "recopy", "touched"} {
		if _, err := m.pool.Exec(ctx, fmt.Sprintf(`DO $$ BEGIN IF to_regclass('crossfade.%[1]s') IS NOT NULL THEN DELETE FROM crossfade.%[1]s WHERE migration = %[2]s; END IF; END $$`,
			table, quoteLiteral(name))); err != nil {
			return fmt.Errorf("remove the migration from crossfade.%s of the target: %w", table, err)
		}
	}
	for _, table := range []string{"marker", "heartbeat"} {
		var there int
		if err := m.source.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'crossfade' AND table_name = ?", table).Scan(&there); err != nil {
			return fmt.Errorf("look for crossfade.%s on the source: %w", table, err)
		}
		if there == 0 {
			continue
		}
		if _, err := m.source.DB().ExecContext(ctx, "DELETE FROM crossfade."+table+" WHERE migration = ?", name); err != nil {
			return fmt.Errorf("remove the migration from crossfade.%s of the source: %w", table, err)
		}
	}
	if err := stream.Remove(ctx, streamConfig(m.cfg)); err != nil {
		return err
	}
	if err := os.RemoveAll(m.cfg.Dir()); err != nil {
		return fmt.Errorf("remove the state directory: %w", err)
	}
	return nil
}

func quoteLiteral(s string) string {
	out := "'"
	for _, c := range s {
		if c == '\'' {
			out += "'"
		}
		out += string(c)
	}
	return out + "'"
}
