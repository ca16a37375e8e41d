package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set at build time for releases; else the module's version or revision is shown.
var version string

func versionText() string {
	if version != "" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "devel-" + s.Value[:12]
			}
		}
	}
	return "devel"
}

func newVersion(g *global) *cobra.Command {
	return g.printing(&cobra.Command{Use: "version", Short: "Print the version", RunE: func(*cobra.Command, []string) error {
		if g.json {
			return g.print(map[string]string{"version": versionText(), "go": runtime.Version()})
		}
		_, err := fmt.Fprintln(g.out, "crossfade", versionText(), runtime.Version())
		return err
	}})
}
