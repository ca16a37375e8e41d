package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/internal/control"
)

func main() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) }

// Main runs one verb and returns its exit code.
func Main(args []string, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(out)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return control.ExitDone
	}
	code := exitCode(err)
	var quiet *silent
	if !errors.As(err, &quiet) {
		fmt.Fprintln(errs, "crossfade:", err)
	}
	return code
}

// usageError marks what is wrong with the command line or the configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// silent is an exit code whose reason has been printed already.
type silent struct{ code int }

func (e *silent) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func exitCode(err error) int {
	var s *silent
	var u *usageError
	var c *control.Error
	switch {
	case errors.As(err, &s):
		return s.code
	case errors.As(err, &u):
		return control.ExitUsage
	case errors.As(err, &c):
		return c.Exit()
	default:
		return control.ExitFailed
	}
}

// global holds what every verb takes.
type global struct {
	file string
	json bool
	out  io.Writer
}

func newRoot(out io.Writer) *cobra.Command {
	g := &global{out: out}
	root := &cobra.Command{
		Use:           "crossfade",
		Short:         "Move a live database: snapshot, stream, verify, cut over.",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("verb %q is not known; see `crossfade help`", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetHelpCommand(newHelp(root))
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVarP(&g.file, "config", "c", "", "configuration file (default $CROSSFADE_CONFIG, then ./crossfade.yaml)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(
		newRun(g), newCheck(g), newSchema(g), newStatus(g), newWait(g), newVerify(g), newCutover(g), newRollback(g), newFinalize(g),
		newPause(g), newResume(g), newReport(g), newCleanup(g), newVersion(g))
	for _, verb := range []string{"plan", "runbook", "alter", "switch-reads"} {
		root.AddCommand(&cobra.Command{Use: verb, Hidden: true, DisableFlagParsing: true, Args: cobra.ArbitraryArgs, RunE: func(*cobra.Command, []string) error {
			return &usageError{fmt.Errorf("%s is not built yet in this version", verb)}
		}})
	}
	for _, c := range root.Commands() {
		if c.Args == nil {
			c.Args = noArgs
		}
	}
	return root
}

// newHelp knows its verbs: a misspelt one is an error, as it is without help.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [verb]", Short: "Explain a verb", Args: cobra.ArbitraryArgs, RunE: func(_ *cobra.Command, args []string) error {
		verb, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return &usageError{fmt.Errorf("verb %q is not known; see `crossfade help`", strings.Join(args, " "))}
		}
		return verb.Help()
	}}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no argument %q", cmd.Name(), args[0])}
	}
	return nil
}

// printing adds the flag of verbs that print.
func (g *global) printing(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&g.json, "json", false, "print JSON")
	return c
}

// load reads the configuration; its mistakes are a usage error.
func (g *global) load() (*configs.Config, error) {
	c, err := configs.Load(configs.Path(g.file))
	if err != nil {
		return nil, &usageError{err}
	}
	if err := c.Validate(); err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

func (g *global) client() (*control.Client, error) {
	c, err := g.load()
	if err != nil {
		return nil, err
	}
	return control.NewClient(c.SocketPath()), nil
}

func (g *global) print(v any) error {
	enc := json.NewEncoder(g.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
