package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	subscriber = "subscriber" // database on the target's server
	// restIn brings a table to rest between two measurements: pages are clean, dead rows are gone.
	restIn = "VACUUM (ANALYZE) orders"
)

// catchUps measures the subscription and crossfade in turns, each round with a backlog of its own.
func (b *bench) catchUps(ctx context.Context, r *result) error {
	if err := b.subscribe(ctx); err != nil {
		return fmt.Errorf("prepare the subscription: %w", err)
	}
	for round := range b.Rounds {
		b.say("writing %d transactions on both sources", b.Transactions)
		if err := b.backlog(ctx, round); err != nil {
			return fmt.Errorf("write the backlog: %w", err)
		}
		err := inTurn(round,
			func() error { return b.subscription(ctx, round, r) },
			func() error { return b.catchUp(ctx, r) })
		if err != nil {
			return err
		}
	}
	for _, name := range []string{subscriber, b.last} {
		if err := b.sameRows(ctx, b.target, name); err != nil {
			return err
		}
	}
	return b.sameRows(ctx, b.publisher, database)
}

// subscribe copies the publisher's table, and leaves the subscription disabled. Its slot keeps the changes.
func (b *bench) subscribe(ctx context.Context) error {
	if err := execPostgres(ctx, b.publisher, database, "CREATE PUBLICATION orders FOR TABLE orders, ending"); err != nil {
		return err
	}
	if err := execPostgres(ctx, b.target, "postgres", "CREATE DATABASE "+subscriber); err != nil {
		return err
	}
	err := execPostgres(ctx, b.target, subscriber, postgresTable, endTable,
		"CREATE SUBSCRIPTION orders CONNECTION '"+conninfo(b.publisher.URL(database))+"' PUBLICATION orders")
	if err != nil {
		return err
	}
	return onPostgres(ctx, b.target, subscriber, func(conn *pgx.Conn) error {
		if err := until(ctx, conn, 2, running, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate = 'r'"); err != nil {
			return err
		}
		return disable(ctx, conn)
	})
}

func running() error { return nil }

func disable(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "ALTER SUBSCRIPTION orders DISABLE"); err != nil {
		return err
	}
	return until(ctx, conn, 1, running, "SELECT (count(*) = 0)::int FROM pg_stat_subscription WHERE pid IS NOT NULL")
}

// subscription is timed from ENABLE until the last transaction of the backlog can be seen. One worker applies them in the order of their commits.
func (b *bench) subscription(ctx context.Context, round int, r *result) error {
	if err := execPostgres(ctx, b.target, subscriber, restIn); err != nil {
		return err
	}
	if err := b.rest(ctx); err != nil {
		return err
	}
	return onPostgres(ctx, b.target, subscriber, func(conn *pgx.Conn) error {
		before := cpu{Source: processCPU(b.publisher.Pid()), Target: processCPU(b.target.Pid())}
		began := time.Now()
		if _, err := conn.Exec(ctx, "ALTER SUBSCRIPTION orders ENABLE"); err != nil {
			return err
		}
		if err := until(ctx, conn, int64(round)+1, running, "SELECT count(*) FROM ending"); err != nil {
			return err
		}
		s := sample{Took: time.Since(began), Rows: b.Transactions * changesOf}
		s.CPU = cpu{Source: processCPU(b.publisher.Pid()), Target: processCPU(b.target.Pid())}.minus(before)
		r.Subscription = append(r.Subscription, s)
		b.say("subscription: %s", s)
		return disable(ctx, conn)
	})
}

// catchUp is timed from the start of the program until the target has committed every change of the backlog. Its counts are written in the transactions of the
// rows themselves.
func (b *bench) catchUp(ctx context.Context, r *result) error {
	if err := execPostgres(ctx, b.target, b.last, restIn); err != nil {
		return err
	}
	if err := b.rest(ctx); err != nil {
		return err
	}
	return onPostgres(ctx, b.target, b.last, func(conn *pgx.Conn) error {
		const counted = "SELECT sum(inserted + updated + deleted)::bigint FROM crossfade.counts"
		var was int64
		if err := conn.QueryRow(ctx, counted).Scan(&was); err != nil {
			return err
		}
		n := int64(b.Transactions * changesOf)
		s, err := b.timed(n, func() error { return until(ctx, conn, was+n, b.daemon.alive, counted) })
		if err != nil {
			return err
		}
		var is int64
		if err := conn.QueryRow(ctx, counted).Scan(&is); err != nil {
			return err
		}
		if is != was+n {
			return errors.New("crossfade has counted more changes than there were")
		}
		r.CatchUp = append(r.CatchUp, s)
		b.say("catch-up:     %s", s)
		if err := b.daemon.settled(ctx); err != nil {
			return err
		}
		return b.daemon.stop()
	})
}
