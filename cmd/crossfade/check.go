package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/transform"
)

// quiet is the log of verbs that say what they find themselves.
var quiet = slog.New(slog.DiscardHandler)

func newCheck(g *global) *cobra.Command {
	return g.printing(&cobra.Command{Use: "check", Short: "Check both ends and the mapping",
		Long: "Every finding with its severity, reason and remedy. Exits 3 when one is an error.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			var findings []catalog.Finding
			b, err := control.NewClient(cfg.SocketPath()).Get(cmd.Context(), "check", nil)
			switch {
			case err == nil:
				err = json.Unmarshal(b, &findings)
			case errors.Is(err, control.ErrNotRunning):
				m := newMigration(cfg, quiet)
				defer m.close()
				findings, err = m.check(cmd.Context())
			}
			if err != nil {
				return err
			}
			return printFindings(g, findings)
		}})
}

func printFindings(g *global, findings []catalog.Finding) error {
	bad := errorsIn(findings)
	if g.json {
		if findings == nil {
			findings = []catalog.Finding{}
		}
		if err := g.print(map[string]any{"findings": findings}); err != nil {
			return err
		}
		if len(bad) > 0 {
			return &silent{control.ExitRefused}
		}
		return nil
	}
	if _, err := io.WriteString(g.out, findingsText(findings)+"\n"); err != nil {
		return err
	}
	if len(bad) > 0 {
		return control.Fail(control.ExitRefused, fmt.Errorf("%d errors", len(bad)), "")
	}
	_, err := fmt.Fprintln(g.out, "ready to run")
	return err
}

// check opens both ends and looks at them. What cannot be reached is a finding like others.
func (m *migration) check(ctx context.Context) ([]catalog.Finding, error) {
	var out []catalog.Finding
	find := func(code, object string, err error, remedy string) {
		out = append(out, catalog.Finding{Severity: "error", Code: code, Object: object, Reason: err.Error(), Remedy: remedy})
	}
	if err := m.readMapping(ctx); err != nil {
		var u *usageError
		var mistakes transform.Mistakes
		switch {
		case errors.As(err, &u):
			return nil, err
		case errors.As(err, &mistakes):
			out = append(out, mistakes...)
		default:
			find("source", m.cfg.Source.URL.Redacted(), err, "mend source.url, or the server")
		}
	}
	var err error
	if m.pool, err = openTarget(ctx, m.cfg.Target.URL); err != nil {
		find("target", m.cfg.Target.URL.Redacted(), err, "mend target.url, or the server")
	} else if m.target, err = openApplyTarget(ctx, m.cfg, m.log); err != nil {
		return nil, err
	}
	if m.source == nil || m.pool == nil || m.plan == nil {
		return out, nil
	}
	more, err := m.findings(ctx)
	return append(out, more...), err
}

// findings looks at both open ends and at the mapping.
func (m *migration) findings(ctx context.Context) ([]catalog.Finding, error) {
	var out []catalog.Finding
	var err error // m.source.Check
	if err != nil {
		return nil, fmt.Errorf("check the source: %w", err)
	}
	out = append(out, m.plan.Findings()...)
	target, err := m.checkTarget(ctx)
	if err != nil {
		return nil, fmt.Errorf("check the target: %w", err)
	}
	return append(out, target...), nil
}
