package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
			if !slices.Contains([]string{"md", "html", "json"}, format) || attempt < 0 {
				return &usageError{errors.New("--format: md, html or json; --attempt: the number of an attempt")}
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
			_, err = fmt.Fprintln(g.out, strings.TrimRight(string(b), "\n"))
			return err
		}})
	c.Flags().Int64Var(&attempt, "attempt", 0, "the attempt's number; 0 is the newest")
	c.Flags().StringVar(&format, "format", "md", "md, html or json")
	return c
}
