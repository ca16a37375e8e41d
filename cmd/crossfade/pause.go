package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/internal/control"
)

func newPause(g *global) *cobra.Command {
	return g.printing(&cobra.Command{Use: "pause", Short: "Hold applying; the stream goes on",
		Long: "Hold applying until resume, also across restarts. Capture goes on into the stream, so the source holds nothing back.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.post(cmd, "pause", control.Request{})
		}})
}

func newResume(g *global) *cobra.Command {
	var table string
	c := g.printing(&cobra.Command{Use: "resume", Short: "Clear a pause and the hold of a guard, retry what stopped, replay held tables",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.post(cmd, "resume", control.Request{Table: table})
		}})
	c.Flags().StringVar(&table, "table", "", "replay only this held table (schema.table of the source)")
	return c
}

// post runs a verb that answers nothing.
func (g *global) post(cmd *cobra.Command, verb string, r control.Request) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	if _, err := client.Post(cmd.Context(), verb, r); err != nil {
		return err
	}
	if g.json {
		return g.print(map[string]bool{"done": true})
	}
	_, err = fmt.Fprintln(g.out, verb+"d") // paused, resumed, finalized
	return err
}
