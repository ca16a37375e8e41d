package mysql

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Bounds of one statement.
const (
	maxStatementRows  = 1000
	maxStatementBytes = 1 << 20
	// largeBuffer is not kept: one very large row must not hold its memory for ever.
	largeBuffer = 16 << 20
	// applyTimeout bounds one transaction, and of one that carries out cascades each of their steps and each of the notes they leave, so that a server that hangs is left. What became of it the
	// ledger says.
	applyTimeout = 10 * time.Minute
)

// session is one connection.
type session struct {
	target  *Target
	conn    *client.Conn
	nc      net.Conn
	shapes  map[*change.Table]*meta
	largest int  // max_allowed_packet
	infile  bool // the server takes LOAD DATA LOCAL
	broken  bool

	buf      []byte
	lines    []byte        // of a load
	tally    []apply.Count // of the transaction under way
	patience *apply.Patience
}

// Broken implements [apply.Session].
func (s *session) Broken() bool { return s.broken }

// Close implements [apply.Session].
func (s *session) Close() {
	s.broken = true
	_ = s.nc.SetDeadline(time.Now().Add(time.Second))
	_ = s.conn.Close() // it was broken already, or it is gone now
}

// guard ends whatever is asked of the server when ctx ends: the client does not look at it. After that the session is broken.
func (s *session) guard(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.nc.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		s.broken = true
		if err != nil {
			return context.Cause(ctx)
		}
	}
	if err != nil && code(err) == 0 {
		s.broken = true
	}
	return err
}

// exec runs one statement that returns no rows.
func (s *session) exec(ctx context.Context, sql string) (r *gomysql.Result, err error) {
	err = s.guard(ctx, func() error {
		r, err = s.conn.Execute(sql)
		return err
	})
	return r, err
}

// run runs statements, of which none returns rows. Each that is answered is progress.
func (s *session) run(ctx context.Context, sql string) error {
	return s.guard(ctx, func() error {
		var first error
		_, err := s.conn.ExecuteMultiple(sql, func(_ *gomysql.Result, err error) {
			s.patience.Progress()
			if first == nil {
				first = err
			}
		})
		if first != nil {
			return first
		}
		return err
	})
}

// rows returns all rows of a query as text; NULL is empty.
func (s *session) rows(ctx context.Context, sql string) ([][]string, error) {
	r, err := s.exec(ctx, sql)
	if err != nil {
		return nil, classify(err)
	}
	defer r.Close()
	out := make([][]string, r.RowNumber())
	for i := range out {
		out[i] = make([]string, r.ColumnNumber())
		for c := range out[i] {
			if null, err := r.IsNull(i, c); err != nil || null {
				continue
			}
			v, err := r.GetString(i, c)
			if err != nil {
				return nil, err
			}
			out[i][c] = strings.Clone(v) // it lies in a buffer that the next result uses again
		}
	}
	return out, nil
}

// Exec implements [apply.Session].
func (s *session) Exec(ctx context.Context, sql string) error {
	clear(s.shapes)
	return classify(done(s.run(ctx, sql)))
}

// done takes what is there already for made.
func done(err error) error {
	switch code(err) {
	case 1061, 1826, 1050, 1091: // the index, the foreign key, the table is there; what is dropped is not
		return nil
	}
	return err
}

func (s *session) of(ctx context.Context, shape *change.Table) (*meta, error) {
	m := s.shapes[shape]
	if m == nil {
		var err error
		if m, err = s.readMeta(ctx, shape); err != nil {
			return nil, err
		}
		s.shapes[shape] = m
	}
	return m, nil
}

// Apply implements [apply.Session].
func (s *session) Apply(ctx context.Context, tx *apply.Tx) error {
	s.patience = nil
	if !slices.ContainsFunc(tx.Steps, func(st apply.Step) bool { return st.Op == apply.EmptyTable }) { // which takes as long as the table is large
		ctx, s.patience = apply.BePatient(ctx, s.target.patience)
		defer s.patience.End()
	}
	for i := range tx.Steps {
		if _, err := s.of(ctx, tx.Steps[i].Shape); err != nil {
			return err
		}
		if c := tx.Steps[i].Cascade; c != nil {
			for _, shape := range c.Shapes() {
				if _, err := s.of(ctx, shape); err != nil {
					return err
				}
			}
		}
	}
	s.tally = append(s.tally[:0], tx.Counts...)
	tx.Cascaded = tx.Cascaded[:0]
	err := s.transaction(ctx, tx)
	if cap(s.buf) > largeBuffer {
		s.buf = nil
	}
	if cap(s.lines) > largeBuffer {
		s.lines = nil
	}
	if err == nil {
		copy(tx.Counts, s.tally)
		return nil
	}
	s.rollback(ctx)
	clear(s.shapes) // they may have been altered
	return err
}

// rollback ends a transaction that has failed. A connection on which that is not possible is closed.
func (s *session) rollback(ctx context.Context) {
	if s.broken {
		return
	}
	if _, err := s.exec(ctx, "ROLLBACK"); err != nil {
		s.Close()
	}
}

func (s *session) transaction(ctx context.Context, tx *apply.Tx) error {
	if err := s.moveLedger(ctx, tx); err != nil {
		return err
	}
	for i := range tx.Steps {
		if err := s.step(ctx, tx, i); err != nil {
			return err
		}
	}
	if tx.Touched != nil && len(tx.Cascaded) > 0 {
		tx.Touched(tx.Cascaded)
	}
	if err := s.writeSide(ctx, tx); err != nil {
		return classify(err)
	}
	if _, err := s.exec(ctx, "COMMIT"); err != nil {
		return classify(fmt.Errorf("commit: %w", err))
	}
	return nil
}

// add counts what a statement has changed.
func (s *session) add(st *apply.Step, changed, named int64) {
	s.tally[st.Count].Add(st.Tally, changed, named)
}
