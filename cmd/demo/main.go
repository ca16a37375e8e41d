package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func main() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	binary string
	rows   int
	rate   int
	after  time.Duration
}

// Main runs the demo, or its switch step, and returns the exit code.
func Main(args []string, out, errs io.Writer) int {
	if len(args) > 0 && (args[0] == "switch" || args[0] == "where") {
		return runSwitch(args[0], args[1:], out, errs)
	}
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&o.binary, "bin", "bin/crossfade", "the crossfade `program`; `make build` makes it")
	flags.IntVar(&o.rows, "rows", 400_000, "rows of the shop, about")
	flags.IntVar(&o.rate, "rate", 300, "transactions a second of the application")
	flags.DurationVar(&o.after, "after", 5*time.Second, "how long the application goes on after the switch")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(errs, "demo:", err)
		return 2
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends at once; then the reaper of testdb cleans up

	s := newScreen(out)
	err := (&demo{options: o, screen: s}).run(ctx)
	if e := testdb.Shutdown(); e != nil {
		err = errors.Join(err, fmt.Errorf("stop the servers: %w", e))
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(errs, "demo: interrupted; everything it started is gone")
	default:
		fmt.Fprintln(errs, "demo:", err)
	}
	return 1
}

func (o *options) check(args []string) (err error) {
	if len(args) > 0 {
		return fmt.Errorf("argument %q is not known", args[0])
	}
	if o.rows < 1000 || o.rate < 1 {
		return errors.New("-rows is at least 1000, -rate at least 1")
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if info, err := os.Stat(o.binary); err != nil || info.IsDir() {
		return fmt.Errorf("there is no program %s: build it with `make build`, or name another with -bin", o.binary)
	}
	return nil
}
