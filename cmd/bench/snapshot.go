package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// snapshots measures the limit and the snapshot in turns. The last snapshot stays: the catch-up goes on with it.
func (b *bench) snapshots(ctx context.Context, r *result) error {
	for round := range b.Rounds {
		err := inTurn(round,
			func() error { return b.limit(ctx, round, r) },
			func() error { return b.snapshot(ctx, round, r) })
		if err != nil {
			return err
		}
		if round < b.Rounds-1 {
			if err := b.dropSnapshot(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// inTurn runs two measurements, in another order each time.
func inTurn(round int, first, second func() error) error {
	if round%2 == 1 {
		first, second = second, first
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

func (b *bench) limit(ctx context.Context, round int, r *result) error {
	name := fmt.Sprintf("limit_%d", round)
	if err := execPostgres(ctx, b.target, "postgres", "CREATE DATABASE "+name); err != nil {
		return err
	}
	if err := execPostgres(ctx, b.target, name, postgresTable); err != nil {
		return err
	}
	if err := b.rest(ctx); err != nil {
		return err
	}
	before := cpu{processCPU(b.source.Pid()), ownCPU(), processCPU(b.target.Pid())}
	began := time.Now()
	if err := b.pipe(ctx, name); err != nil {
		return fmt.Errorf("the limit: %w", err)
	}
	s := sample{Took: time.Since(began), Rows: b.Rows}
	s.CPU = cpu{processCPU(b.source.Pid()), ownCPU(), processCPU(b.target.Pid())}.minus(before)
	r.Limit = append(r.Limit, s)
	b.say("limit:        %s", s)
	if err := b.sameRows(ctx, b.target, name); err != nil {
		return err
	}
	return execPostgres(ctx, b.target, "postgres", "DROP DATABASE "+name)
}

// snapshot is timed from the start of the program to the commit of the last row on the target.
func (b *bench) snapshot(ctx context.Context, round int, r *result) (err error) {
	b.last = fmt.Sprintf("copy_%d", round)
	if err := execPostgres(ctx, b.target, "postgres", "CREATE DATABASE "+b.last); err != nil {
		return err
	}
	// The table of counts is made by the daemon.
	if b.daemon, err = b.newDaemon(fmt.Sprintf("bench-%d", round), b.last); err != nil {
		return err
	}
	if err := b.rest(ctx); err != nil {
		return err
	}
	return onPostgres(ctx, b.target, b.last, func(conn *pgx.Conn) error {
		s, err := b.timed(int64(b.Rows), func() error {
			if err := until(ctx, conn, 1, b.daemon.alive, "SELECT count(*) FROM pg_tables WHERE schemaname = 'crossfade' AND tablename = 'counts'"); err != nil {
				return err
			}
			return until(ctx, conn, int64(b.Rows), b.daemon.alive, "SELECT coalesce(sum(copied), 0)::bigint FROM crossfade.counts")
		})
		if err != nil {
			return err
		}
		r.Snapshot = append(r.Snapshot, s)
		b.say("snapshot:     %s", s)
		if err := b.daemon.settled(ctx); err != nil {
			return err
		}
		if err := b.sameRows(ctx, b.target, b.last); err != nil {
			return err
		}
		return b.daemon.stop()
	})
}

// timed measures from the start of the daemon until done returns.
func (b *bench) timed(rows int64, done func() error) (sample, error) {
	before := cpu{Source: processCPU(b.source.Pid()), Target: processCPU(b.target.Pid())}
	began := time.Now()
	if err := b.daemon.start(); err != nil {
		return sample{}, err
	}
	if err := done(); err != nil {
		return sample{}, err
	}
	s := sample{Took: time.Since(began), Rows: int(rows)}
	own, waited, _ := cpuOf(b.daemon.pid())
	s.CPU = cpu{processCPU(b.source.Pid()), own + waited, processCPU(b.target.Pid())}.minus(before)
	return s, nil
}

func (b *bench) dropSnapshot(ctx context.Context) error {
	return execPostgres(ctx, b.target, "postgres", "DROP DATABASE "+b.last)
}
