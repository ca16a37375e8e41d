package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/jackc/pgx/v5"
)

// writers commit the backlog together. Each has its own share of the rows that are updated, so the outcome does not depend on who is first.
const writers = 8

// endTable gets a row as the last transaction of each backlog: whoever sees it has applied all of it.
const endTable = "CREATE TABLE ending (round integer PRIMARY KEY)"

// backlog commits the transactions of a round on the source and on the publisher, the same in both. It is not timed, so commits need not wait for the disk.
func (b *bench) backlog(ctx context.Context, round int) error {
	if _, err := b.db.ExecContext(ctx, "SET GLOBAL sync_binlog = 0; SET GLOBAL innodb_flush_log_at_trx_commit = 2"); err != nil {
		return err
	}
	err := b.writeMySQL(ctx, round)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if _, err := b.db.ExecContext(ctx, "SET GLOBAL sync_binlog = 1; SET GLOBAL innodb_flush_log_at_trx_commit = 1; FLUSH LOGS"); err != nil {
		return err
	}
	if err := b.writePostgres(ctx, round); err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	return execPostgres(ctx, b.publisher, database, fmt.Sprintf("INSERT INTO ending VALUES (%d)", round))
}

func (b *bench) writeMySQL(ctx context.Context, round int) error {
	g, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		g.Go(func() error {
			conn, err := b.db.Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return b.share(round, w, func(statements string) error {
				_, err := conn.ExecContext(ctx, "BEGIN; "+statements+"; COMMIT")
				return err
			})
		})
	}
	return g.Wait()
}

func (b *bench) writePostgres(ctx context.Context, round int) error {
	g, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		g.Go(func() error {
			return onPostgres(ctx, b.publisher, database, func(conn *pgx.Conn) error {
				if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil {
					return err
				}
				return b.share(round, w, func(statements string) error { // sent together they are one transaction
					_, err := conn.PgConn().Exec(ctx, statements).ReadAll()
					return err
				})
			})
		})
	}
	return g.Wait()
}

// share makes the transactions of one writer. Rows come in at the end of the key, go at its beginning in no order, and change anywhere in between.
func (b *bench) share(round, writer int, commit func(statements string) error) error {
	n := b.Transactions
	gone := rand.New(rand.NewPCG(uint64(round), 1)).Perm(n)
	first := int64(b.Rounds*n) + 1 // never deleted
	kept := int64(b.Rows) - first + 1
	for i := writer; i < n; i += writers {
		in := newOrder(int64(b.Rows + round*n + i + 1))
		q := []string{fmt.Sprintf("INSERT INTO orders VALUES (%d, %d, '%s', %s, '%s', '%s')", in.id, in.customer, in.status, in.total(), in.created(), in.note)}
		for k := range uint64(2) {
			random := noise(uint64(round*n+i), 100+k)
			var o order
			o.set(noise(random, 7))
			id := first + int64(random%uint64(kept))/writers*writers + int64(writer)
			if id > int64(b.Rows) {
				id = first + int64(writer)
			}
			q = append(q, fmt.Sprintf("UPDATE orders SET status = '%s', total = %s, created = '%s' WHERE id = %d", o.status, o.total(), o.created(), id))
		}
		q = append(q, fmt.Sprintf("DELETE FROM orders WHERE id = %d", round*n+gone[i]+1))
		if err := commit(strings.Join(q, "; ")); err != nil {
			return err
		}
	}
	return nil
}

// conninfo is a URL in a form that CREATE SUBSCRIPTION takes within quotes.
func conninfo(u string) string {
	p, err := url.Parse(u)
	if err != nil {
		return u
	}
	password, _ := p.User.Password()
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s sslmode=disable", p.Hostname(), p.Port(), p.User.Username(), password, strings.TrimPrefix(p.Path, "/"))
}
