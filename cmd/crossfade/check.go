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

func errorCount(bad []catalog.Finding) string {
	if len(bad) == 1 {
		return "the check found an error"
	}
	return fmt.Sprintf("the check found %d errors", len(bad))
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
		return control.Fail(control.ExitRefused, errors.New(errorCount(bad)), "")
	}
	_, err := fmt.Fprintln(g.out, "ready to run")
	return err
}

// check opens both ends and looks at them. What cannot be reached is a finding like others.
func (m *migration) check(ctx context.Context) (out []catalog.Finding, err error) {
	if err := m.readMapping(ctx); err != nil {
		var mistakes transform.Mistakes
		switch {
		case isUsage(err):
			return nil, err
		case errors.As(err, &mistakes):
			out = append(out, mistakes...)
		default:
			out = append(out, finding("source", err, "mend it, or the server"))
		}
	}
	if err := m.openTarget(ctx); isUsage(err) {
		return nil, err
	} else if err != nil {
		return append(out, finding("target", err, "mend it, or the server")), nil
	}
	if m.source == nil {
		return out, nil
	}
	_, more, err := m.findings(ctx)
	return append(out, more...), err
}

func isUsage(err error) bool {
	var u *usageError
	return errors.As(err, &u)
}

// finding makes an error of one end a finding. The error may bring a remedy of its own.
func finding(end string, err error, remedy string) catalog.Finding {
	f := catalog.Finding{Severity: catalog.Error, Code: end, Object: end + ".url", Reason: err.Error(), Remedy: remedy}
	var e *control.Error
	if errors.As(err, &e) && e.Remedy != "" {
		f.Reason, f.Remedy = e.Message, e.Remedy
	}
	return f
}

// findings looks at both open ends and at the mapping, as far as there is one, and says whether there would be a way back.
func (m *migration) findings(ctx context.Context) (w twoWay, out []catalog.Finding, err error) {
	out, err = m.source.Check(ctx, m.tables)
	if err != nil {
		return w, nil, fmt.Errorf("check the source: %w", err)
	}
	if m.cfg.Source.ProbeURL.IsZero() {
		denied, err := m.source.CheckProbe(ctx, m.tables)
		if err != nil {
			return w, nil, fmt.Errorf("check the source: %w", err)
		}
		out = append(out, denied...)
	}
	if m.plan == nil {
		return w, out, nil
	}
	out = append(out, m.plan.Findings()...)
	var filtered []*catalog.Table
	for _, t := range m.plan.Tables() {
		if t.Filtered {
			filtered = append(filtered, t.Source)
		}
	}
	parts, err := m.source.CheckWhole(ctx, filtered)
	if err != nil {
		return w, nil, fmt.Errorf("check the source: %w", err)
	}
	out = append(out, parts...)
	w, back, err := m.checkReverse(ctx)
	if err != nil {
		return w, nil, fmt.Errorf("check the way back: %w", err)
	}
	out = append(out, back...)
	target, err := m.checkTarget(ctx)
	if err != nil {
		return w, nil, fmt.Errorf("check the target: %w", err)
	}
	return w, append(out, target...), nil
}
