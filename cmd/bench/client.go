package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is a connection of the application.
type session interface {
	commit(ctx context.Context, statements string) error // in one transaction
	close()
}

// application writes as one does: a row inserted and one updated in each transaction, on several connections. What is refused, it asks where to write now and tries again.
type application struct {
	rows int64 // there are, of the table
	dial func(ctx context.Context) (session, error)
	next atomic.Int64 // the newest key, or the newest tried

	mu     sync.Mutex
	acks   []acknowledged
	failed int // transactions that were refused or cut off
	last   error
}

// acknowledged is a transaction that was.
type acknowledged struct {
	id   int64
	at   time.Time
	took time.Duration
}

const connections = 8

// run writes until ctx ends; each is the time from one transaction of a connection to the next, 0: none.
func (a *application) run(ctx context.Context, each time.Duration) {
	var wait sync.WaitGroup
	for n := range connections {
		wait.Go(func() { a.connection(ctx, n, each) })
	}
	wait.Wait()
}

func (a *application) connection(ctx context.Context, n int, each time.Duration) {
	var s session
	defer func() {
		if s != nil {
			s.close()
		}
	}()
	due := time.Now().Add(each * time.Duration(n) / connections)
	for ctx.Err() == nil {
		due = due.Add(each)
		if now := time.Now(); due.Before(now) { // what was missed in a pause is not made up for
			due = now
		}
		if pause(ctx, time.Until(due)) != nil {
			return
		}
		id := a.rows + a.next.Add(1)
		began := time.Now()
		err := a.transaction(ctx, &s, id)
		if ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		if err == nil {
			a.acks = append(a.acks, acknowledged{id, time.Now(), time.Since(began)})
		} else {
			a.failed++
			a.last = err
		}
		a.mu.Unlock()
		if err != nil {
			if s != nil {
				s.close()
				s = nil
			}
			if pause(ctx, 2*time.Millisecond) != nil {
				return
			}
		}
	}
}

func (a *application) transaction(ctx context.Context, s *session, id int64) (err error) {
	if *s == nil {
		if *s, err = a.dial(ctx); err != nil {
			*s = nil
			return err
		}
	}
	in := newOrder(id)
	var o order
	o.set(noise(uint64(id), 9))
	return (*s).commit(ctx, fmt.Sprintf("INSERT INTO orders VALUES (%d, %d, '%s', %s, '%s', '%s'); UPDATE orders SET status = '%s', total = %s WHERE id = %d",
		in.id, in.customer, in.status, in.total(), in.created(), in.note, o.status, o.total(), 1+int64(noise(uint64(id), 11)%uint64(a.rows))))
}

// since is what was acknowledged from a moment on, with the last before it, in the order of time.
func (a *application) since(from time.Time) []acknowledged {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := len(a.acks)
	for i > 0 && !a.acks[i-1].at.Before(from) {
		i--
	}
	out := slices.Clone(a.acks[max(i-1, 0):])
	slices.SortFunc(out, func(x, y acknowledged) int { return x.at.Compare(y.at) })
	return out
}

func (a *application) failures() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// silence is the longest time without an acknowledgement, and slowest the longest that a transaction waited for its own.
func silence(acks []acknowledged) (longest, slowest time.Duration) {
	for i, a := range acks {
		slowest = max(slowest, a.took)
		if i > 0 {
			longest = max(longest, a.at.Sub(acks[i-1].at))
		}
	}
	return longest, slowest
}

// postgresSession sends a transaction in one message, which a pooler in transaction mode passes on like any other.
type postgresSession struct{ conn *pgx.Conn }

func dialPostgres(ctx context.Context, url string) (session, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	return postgresSession{conn}, nil
}

func (s postgresSession) commit(ctx context.Context, statements string) error {
	_, err := s.conn.PgConn().Exec(ctx, "BEGIN; "+statements+"; COMMIT").ReadAll()
	return err
}

func (s postgresSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // nothing hangs on how it ends
}

type mysqlSession struct {
	db   *sql.DB
	conn *sql.Conn
}

func dialMySQL(ctx context.Context, open func() (*sql.DB, error)) (session, error) {
	db, err := open()
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close() // it has nothing open
		return nil, err
	}
	return mysqlSession{db, conn}, nil
}

func (s mysqlSession) commit(ctx context.Context, statements string) error {
	_, err := s.conn.ExecContext(ctx, "BEGIN; "+statements+"; COMMIT")
	return err
}

func (s mysqlSession) close() {
	_ = s.conn.Close() // nothing hangs on how they end
	_ = s.db.Close()
}
