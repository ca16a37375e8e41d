package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// plan is what is measured.
type plan struct {
	Rows         int           `json:"rows"`
	Transactions int           `json:"transactions"` // of changesOf row changes each
	Rounds       int           `json:"rounds"`
	Postgres     int           `json:"postgres_major"`
	Moves        int           `json:"moves"`          // cutovers of each series, and as many rollbacks
	Peak         time.Duration `json:"peak_ns"`        // how long the application writes as fast as it can
	Only         string        `json:"only,omitempty"` // snapshot, catch-up or pauses
	program      string
	json         bool
	verbose      bool
}

// changesOf is how many rows each transaction of the backlog changes: one inserted, two updated, one deleted.
const changesOf = 4

func main() {
	// The daemon is to die with this process, and that signal follows the thread that starts it: the first, which lives as long as the process.
	runtime.LockOSThread()
	os.Exit(program(os.Args[1:], os.Stdout, os.Stderr))
}

func program(args []string, out, log io.Writer) int {
	var p plan
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.IntVar(&p.Rows, "rows", 1_000_000, "rows of the table")
	flags.IntVar(&p.Transactions, "transactions", 100_000, "transactions of the backlog, of 4 row changes each")
	flags.IntVar(&p.Rounds, "rounds", 3, "measurements of each contestant")
	flags.IntVar(&p.Postgres, "postgres", 18, "major version of PostgreSQL")
	flags.IntVar(&p.Moves, "moves", 30, "cutovers of each pair of databases and size, and as many rollbacks")
	flags.DurationVar(&p.Peak, "peak", 5*time.Second, "how long the application writes as fast as it can, before it writes half of that")
	flags.StringVar(&p.Only, "only", "", "measure only this: snapshot, catch-up or pauses")
	flags.StringVar(&p.program, "crossfade", "bin/crossfade", "the program that is measured")
	flags.BoolVar(&p.json, "json", false, "print JSON")
	flags.BoolVar(&p.verbose, "v", false, "show the daemon's log")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := p.check(); err != nil {
		fmt.Fprintln(log, "bench:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := measure(ctx, p, out, log)
	if err = errors.Join(err, testdb.Shutdown()); err != nil {
		fmt.Fprintln(log, "bench:", err)
		return 1
	}
	return 0
}

func (p *plan) check() error {
	switch {
	case p.Rows < 1 || p.Transactions < 1 || p.Rounds < 1 || p.Moves < 1 || p.Peak <= 0:
		return errors.New("-rows, -transactions, -rounds and -moves begin at 1, -peak above 0")
	case !slices.Contains([]string{"", "snapshot", "catch-up", "pauses"}, p.Only):
		return fmt.Errorf("-only %s: there are snapshot, catch-up and pauses", p.Only)
	case p.Only != "pauses" && p.Rows < (p.Rounds+1)*p.Transactions:
		return fmt.Errorf("each round deletes -transactions rows, and some must be left to be updated: -rows must be at least %d", (p.Rounds+1)*p.Transactions)
	}
	if _, err := os.Stat(p.program); err != nil {
		return fmt.Errorf("%w: run `make build`, or name it with -crossfade", err)
	}
	return nil
}

// measure runs everything and prints the result.
func measure(ctx context.Context, p plan, out, log io.Writer) (err error) {
	b, err := start(ctx, p, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	r := &result{Plan: p, Machine: machine(), Versions: b.versions()}
	switch p.Only {
	case "pauses":
	case "catch-up":
		err = b.snapshot(ctx, 0, new(result)) // to have something to go on with
	default:
		err = b.snapshots(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if p.Only == "" || p.Only == "catch-up" {
		if err := b.catchUps(ctx, r); err != nil {
			return fmt.Errorf("catch-up: %w", err)
		}
	}
	if p.Only == "" || p.Only == "pauses" {
		if err := b.moves(ctx, r); err != nil {
			return fmt.Errorf("pauses: %w", err)
		}
	}
	if p.json {
		return r.writeJSON(out)
	}
	return r.write(out)
}
