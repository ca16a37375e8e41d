package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/control"
)

func newCutover(g *global) *cobra.Command {
	var r control.Request
	c := g.printing(&cobra.Command{Use: "cutover", Short: "Move the application's writes to the target",
		Long: "Print the go/no-go report, then cut over. Returns when traffic is routed (0), refused (3), aborted with the source still serving (5), or\n" +
			"decided with a step that failed (1): call it again to go on with that step.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (r.Step == "") != (r.Outcome == "") || r.Outcome != "" && r.Outcome != "done" && r.Outcome != "retry" {
				return &usageError{errors.New("--step NAME and --outcome done|retry belong together")}
			}
			return g.report(cmd, "cutover", r)
		}})
	c.Flags().BoolVar(&r.DryRun, "dry-run", false, "all but the fence, with the go/no-go report")
	c.Flags().StringVar(&r.Step, "step", "", "a switch step whose outcome is unknown")
	c.Flags().StringVar(&r.Outcome, "outcome", "", "what became of it: done or retry")
	return c
}

func newRollback(g *global) *cobra.Command {
	return g.printing(&cobra.Command{Use: "rollback", Short: "Give up a cutover before its decision; after it, move the writes back",
		Long: "Before the decision of a cutover: abort it, the source serves on. After it: move the writes back to the source, losing nothing.\n" +
			"Exits like cutover: 0 when traffic is routed, 3 refused, 5 aborted with the target still serving, 1 decided with a step that failed.",
		RunE: func(cmd *cobra.Command, _ []string) error { return g.report(cmd, "rollback", control.Request{}) }})
}

// report runs a verb that answers with a report, prints it also when the verb failed, and fails with its exit code.
func (g *global) report(cmd *cobra.Command, verb string, r control.Request) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	b, err := client.Post(cmd.Context(), verb, r)
	if len(b) == 0 || string(b) == "null" {
		return err
	}
	if g.json {
		if perr := g.print(json.RawMessage(b)); perr != nil {
			return perr
		}
		var e *control.Error
		if errors.As(err, &e) {
			return &silent{e.Exit()}
		}
		return err
	}
	text, rerr := reportText(b)
	if rerr != nil {
		return rerr
	}
	if _, perr := fmt.Fprintln(g.out, text); perr != nil {
		return perr
	}
	return err
}
