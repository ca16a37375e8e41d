package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// bench is one run: the servers, and what is open on them.
type bench struct {
	plan
	log io.Writer

	source    *testdb.MySQLServer
	target    *testdb.PostgresServer // of crossfade, of the limit and of the subscription
	publisher *testdb.PostgresServer // what the subscription subscribes to
	db        *sql.DB                // the source's database

	dir    string
	daemon *daemon
	last   string // target database of the last snapshot
}

// The database on the source and on the publisher.
const database = "shop"

// Options beside the defaults. Tables fit into memory, checkpoints come when they are asked for and not in the middle of one of the measurements,
// and so do vacuums. Every commit is as durable as without them.
var (
	mysqlOptions    = []string{"--innodb-buffer-pool-size=1G", "--innodb-redo-log-capacity=2G"}
	postgresOptions = []string{"shared_buffers=512MB", "max_wal_size=16GB", "checkpoint_timeout=1h", "autovacuum=off"}
)

func start(ctx context.Context, p plan, log io.Writer) (*bench, error) {
	b := &bench{plan: p, log: log}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) start(ctx context.Context) (err error) {
	b.say("starting servers")
	if b.dir, err = os.MkdirTemp("", "crossfade-bench-"); err != nil {
		return err
	}
	if b.source, err = testdb.StartMySQL(ctx, "", b.log, mysqlOptions...); err != nil {
		return err
	}
	if b.target, err = testdb.StartPostgres(ctx, "", b.log, b.Postgres, postgresOptions...); err != nil {
		return err
	}
	if b.publisher, err = testdb.StartPostgres(ctx, "", b.log, b.Postgres, postgresOptions...); err != nil {
		return err
	}
	admin, err := b.source.Open("")
	if err != nil {
		return err
	}
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+database); err != nil {
		return err
	}
	if b.db, err = b.source.Open(database); err != nil {
		return err
	}
	b.say("loading %d rows", b.Rows)
	return b.load(ctx)
}

// close ends the daemon and removes its files; the servers go with testdb.
func (b *bench) close() error {
	err := b.stopDaemon()
	if b.db != nil {
		err = errors.Join(err, b.db.Close())
	}
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

func (b *bench) versions() []string {
	return []string{"MySQL " + b.source.Version(), "PostgreSQL " + b.target.Version()}
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// execPostgres runs statements in a database of a PostgreSQL server, one at a time.
func execPostgres(ctx context.Context, s *testdb.PostgresServer, database string, statements ...string) error {
	return onPostgres(ctx, s, database, func(conn *pgx.Conn) error {
		for _, q := range statements {
			if _, err := conn.Exec(ctx, q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		return nil
	})
}

func onPostgres(ctx context.Context, s *testdb.PostgresServer, database string, f func(*pgx.Conn) error) error {
	conn, err := s.Connect(ctx, database)
	if err != nil {
		return err
	}
	// What matters came back from f.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return f(conn)
}

// rest brings the servers to rest, so that a measurement does not pay for what came before it: pages are on disk, and stay in memory.
func (b *bench) rest(ctx context.Context) error {
	if err := b.flushSource(ctx); err != nil {
		return err
	}
	for _, s := range []*testdb.PostgresServer{b.target, b.publisher} {
		if err := execPostgres(ctx, s, "postgres", "CHECKPOINT"); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) flushSource(ctx context.Context) error {
	var most float64
	if err := b.db.QueryRowContext(ctx, "SELECT @@innodb_max_dirty_pages_pct").Scan(&most); err != nil {
		return err
	}
	if _, err := b.db.ExecContext(ctx, "SET GLOBAL innodb_max_dirty_pages_pct = 0"); err != nil {
		return err
	}
	for dirty := 1; dirty > 0; {
		var name string
		if err := b.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'").Scan(&name, &dirty); err != nil {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	_, err := b.db.ExecContext(ctx, fmt.Sprintf("SET GLOBAL innodb_max_dirty_pages_pct = %f", most))
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// until waits until a query of one number gives at least want.
func until(ctx context.Context, conn *pgx.Conn, want int64, still func() error, query string) error {
	for {
		var n int64
		if err := conn.QueryRow(ctx, query).Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		if n >= want {
			return nil
		}
		if err := still(); err != nil {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
