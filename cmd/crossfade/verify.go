package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/control"
)

func newVerify(g *global) *cobra.Command {
	var r control.Request
	c := g.printing(&cobra.Command{Use: "verify", Short: "Compare every row now",
		Long: "Compare every row of both sides while they change. Exits 4 when rows differ.\nWith --repair, rows that differ are copied again from the source.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			b, err := client.Post(cmd.Context(), "verify", r)
			var differ *control.Error
			if err != nil && !(errors.As(err, &differ) && differ.Exit() == control.ExitDifferences) {
				return err
			}
			if g.json {
				if perr := g.print(json.RawMessage(b)); perr != nil {
					return perr
				}
				if err != nil {
					return &silent{control.ExitDifferences}
				}
				return nil
			}
			var v control.VerifyResult
			if uerr := json.Unmarshal(b, &v); uerr != nil {
				return fmt.Errorf("read the daemon's answer: %w", uerr)
			}
			if perr := printVerify(g, v); perr != nil {
				return perr
			}
			return err
		}})
	c.Flags().StringVar(&r.Table, "table", "", "only this table (schema.table of the source)")
	c.Flags().BoolVar(&r.Repair, "repair", false, "copy rows that differ again, through the pipeline")
	return c
}

func printVerify(g *global, v control.VerifyResult) error {
	var b strings.Builder
	for _, t := range v.Tables {
		name := tableName(control.TableStatus{Source: t.Source, Target: t.Target})
		fmt.Fprintf(&b, "%-*s %18s  %16s  digest %s\n", nameWidth, name, many(t.RowsVerified, "row"), many(int64(t.Differences), "difference"), t.Digest)
	}
	const most = 50
	for i, d := range v.Differences {
		if i == most {
			fmt.Fprintf(&b, "... and %d more; see --json\n", len(v.Differences)-most)
			break
		}
		fmt.Fprintf(&b, "%s %s: %s\n", d.Table, d.Key, strings.TrimSpace(d.Kind+" "+strings.Join(d.Columns, ", ")))
	}
	fmt.Fprintf(&b, "%s verified, %s", many(v.RowsVerified, "row"), many(int64(len(v.Differences)), "difference"))
	if v.Repaired > 0 {
		fmt.Fprintf(&b, ", %s copied again", many(int64(v.Repaired), "row"))
	}
	_, err := fmt.Fprintln(g.out, b.String())
	return err
}
