package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/control"
)

func newWait(g *global) *cobra.Command {
	var what string
	var timeout time.Duration
	c := &cobra.Command{Use: "wait", Short: "Wait until the migration has come to a point",
		Long: "Wait until the migration is streaming, verified, completed or rolled_back.\nExits 1 on timeout, and at once when the state can no longer be reached.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, ok := goals[what]; !ok {
				return &usageError{fmt.Errorf("--for %q: use streaming, verified, completed or rolled_back", what)}
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return waitFor(ctx, client, what)
		}}
	c.Flags().StringVar(&what, "for", "", "streaming, verified, completed or rolled_back")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait")
	return c
}

// goals say whether a status has reached the goal, and whether it still can.
var goals = map[string]func(control.Status) (reached, possible bool){
	"streaming": func(s control.Status) (bool, bool) {
		p := phaseOf(s)
		return s.State != "failed" && (p == "streaming" || p == "ready" || p == "cutover") || s.State == "completed", s.State != "failed" && s.State != "rolled_back"
	},
	"verified": func(s control.Status) (bool, bool) {
		return s.State != "failed" && phaseOf(s) == "ready" || s.State == "completed", s.State != "failed" && s.State != "rolled_back"
	},
	"completed": func(s control.Status) (bool, bool) {
		return s.State == "completed", s.State != "failed" && s.State != "rolled_back"
	},
	"rolled_back": func(s control.Status) (bool, bool) {
		return s.State == "rolled_back", s.Reverse != nil && s.Reverse.State != "removing" && s.Reverse.State != "off" && s.State != "failed"
	},
}

func phaseOf(s control.Status) string {
	if s.Phase == nil {
		return ""
	}
	return *s.Phase
}

// starting is how long a daemon that was just started may need until it listens: scripts write `crossfade run & crossfade wait ...`.
const starting = 2 * time.Second

func waitFor(ctx context.Context, client *control.Client, what string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	var last control.Status
	for {
		s, err := client.Status(ctx)
		switch {
		case err == nil:
			last = s
			reached, possible := goals[what](s)
			if reached {
				return nil
			}
			if !possible {
				reason := "it is " + s.State
				if s.Error != nil {
					reason += ": " + *s.Error
				}
				return fmt.Errorf("wait for %s: cannot be reached, %s", what, reason)
			}
		case errors.Is(err, control.ErrNotRunning) && last.Name == "" && time.Since(began) < starting:
		case errors.Is(err, control.ErrNotRunning):
			return err
		case ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return cause
			}
			return fmt.Errorf("wait for %s: not reached in time; it is %s, phase %q", what, last.State, phaseOf(last))
		case <-tick.C:
		}
	}
}
