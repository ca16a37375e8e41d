package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/transform"
)

func newSchema(g *global) *cobra.Command {
	var phase string
	c := g.printing(&cobra.Command{Use: "schema", Short: "Print the target's DDL",
		Long: "Print the DDL that run executes: before (tables with their keys), after (indexes, constraints, foreign keys), undo.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, ok := phases[phase]
			if !ok {
				return &usageError{fmt.Errorf("--phase %q: use before, after or undo", phase)}
			}
			cfg, err := g.load()
			if err != nil {
				return err
			}
			m := newMigration(cfg, quiet)
			defer m.close()
			if err := m.readMapping(cmd.Context()); err != nil {
				return err
			}
			statements := m.plan.DDL(p)
			if g.json {
				return g.print(statements)
			}
			var b strings.Builder
			for _, s := range statements {
				fmt.Fprintf(&b, "%s;\n", strings.TrimRight(s.SQL, ";\n"))
			}
			_, err = fmt.Fprint(g.out, b.String())
			return err
		}})
	c.Flags().StringVar(&phase, "phase", "before", "before, after or undo")
	return c
}

var phases = map[string]transform.Phase{"before": transform.Before, "after": transform.After, "undo": transform.Undo}

// readMapping connects to the source and compiles the mapping of its tables as they are now.
func (m *migration) readMapping(ctx context.Context) (err error) {
	if m.source == nil {
		if m.source, err = openSource(ctx, m.cfg, m.way, m.log); err != nil {
			return err
		}
	}
	globs, err := m.cfg.Source.Globs()
	if err != nil {
		return &usageError{err}
	}
	if m.tables, err = selectedTables(ctx, &m.ends, globs.Match); err != nil {
		return err
	}
	if err := compile(m.cfg, &m.ends); err != nil {
		return control.Fail(control.ExitRefused, err, "")
	}
	return nil
}

// createTables makes the tables of the target with their keys, and nothing else on them: while rows are copied, states pass that no further unique index
// and no foreign key would allow.
func (m *migration) createTables(ctx context.Context) error {
	if !m.cfg.Target.Create {
		return nil
	}
	for _, s := range m.plan.DDL(transform.Before) {
		if err := m.execTarget(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// emptyTables makes sure that nothing is in the target tables before the first row is copied.
func (m *migration) emptyTables(ctx context.Context) error {
	var all []*change.Table
	for _, t := range m.plan.Tables() {
		all = append(all, t.Target)
	}
	full, err := m.target.NotEmpty(ctx, all)
	switch {
	case err != nil:
		return err
	case len(full) == 0:
		return nil
	case m.cfg.Snapshot.Existing == configs.ExistingTruncate:
		return m.target.Truncate(ctx, full)
	default:
		return control.Fail(control.ExitRefused, fmt.Errorf("the target table %s holds rows", full[0]), "empty it, or set snapshot.existing: truncate")
	}
}
