package main

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/control"
)

func newReport(g *global) *cobra.Command {
	var attempt int64
	var format string
	c := g.printing(&cobra.Command{Use: "report", Short: "Print the evidence of a cutover",
		Long: "Print the report of an attempt, the newest by default. Without a running daemon the databases are read.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.json {
				format = "json"
			}
			if format != "md" && format != "json" {
				return &usageError{errors.New("--format: md or json; html is not built yet")}
			}
			cfg, err := g.load()
			if err != nil {
				return err
			}
			q := url.Values{"format": {format}, "attempt": {strconv.FormatInt(attempt, 10)}}
			b, err := control.NewClient(cfg.SocketPath()).Get(cmd.Context(), "report", q)
			if errors.Is(err, control.ErrNotRunning) {
				b, err = reportFromDatabases(context.WithoutCancel(cmd.Context()), cfg, attempt, format)
			}
			if err != nil {
				return err
			}
			_, err = g.out.Write(append(b, '\n'))
			return err
		}})
	c.Flags().Int64Var(&attempt, "attempt", 0, "the attempt's number; 0 is the newest")
	c.Flags().StringVar(&format, "format", "md", "md or json")
	return c
}
