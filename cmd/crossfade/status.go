package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/control"
)

func newStatus(g *global) *cobra.Command {
	var watch bool
	c := g.printing(&cobra.Command{Use: "status", Short: "Show how far the migration is",
		Long: "Show one screen. Without a running daemon the databases are read.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			client := control.NewClient(cfg.SocketPath())
			ask := func(ctx context.Context) (control.Status, error) {
				s, err := client.Status(ctx)
				if errors.Is(err, control.ErrNotRunning) {
					return statusFromDatabases(ctx, cfg)
				}
				return s, err
			}
			if watch && g.json {
				return &usageError{errors.New("--watch draws for people; ask again and again for --json")}
			}
			if watch {
				return watchStatus(cmd.Context(), g.out, ask)
			}
			s, err := ask(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return g.print(s)
			}
			_, err = io.WriteString(g.out, screen(s, colours(g.out)))
			return err
		}})
	c.Flags().BoolVar(&watch, "watch", false, "redraw every second")
	return c
}

// watchStatus redraws until ctx ends.
func watchStatus(ctx context.Context, out io.Writer, ask func(context.Context) (control.Status, error)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	terminal := isTerminal(out)
	for {
		s, err := ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if terminal {
			fmt.Fprint(out, "\x1b[H\x1b[2J")
		}
		if _, err := io.WriteString(out, screen(s, terminal && os.Getenv("NO_COLOR") == "")); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

func colours(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }
