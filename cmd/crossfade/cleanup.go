package main

import (
	"context"
	"errors"
	"fmt"
	"os"

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
	out.Target, err = m.target.DropUser(ctx)
	return out, err
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
	if _, err := gates.settle(ctx, m.cfg, openOld); err != nil {
		return err
	}
	if err := stream.Remove(ctx, streamConfig(m.cfg, m.way)); err != nil {
		return err
	}
	if err := gates.remove(ctx); err != nil {
		return err
	}
	if err := m.removeReverse(ctx); err != nil {
		return fmt.Errorf("remove the way back: %w", err)
	}
	if err := m.source.Remove(ctx); err != nil {
		return err
	}
	// The ledger goes last.
	if err := m.copied.Remove(ctx); err != nil {
		return err
	}
	if err := m.target.Remove(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(m.cfg.Dir()); err != nil {
		return fmt.Errorf("remove the state directory: %w", err)
	}
	return nil
}
