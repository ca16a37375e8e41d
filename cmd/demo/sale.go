package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// shopDB is a database of the shop, on either engine.
type shopDB interface {
	begin(ctx context.Context) (shopTx, error)
	// refused reports whether the error is a closed gate: the write did not happen, and may elsewhere.
	refused(err error) bool
	close()
}

// shopTx is a transaction. Statements that change a row name the version that the application knows, and report how many rows they found.
type shopTx interface {
	insertOrder(ctx context.Context, o *order) error // gives it a number
	insertItems(ctx context.Context, o *order) error
	insertPayment(ctx context.Context, p *payment) error
	takeStock(ctx context.Context, product [16]byte, quantity int, version uint32) (int64, error)
	reprice(ctx context.Context, product [16]byte, price string, version uint32) (int64, error)
	advanceOrder(ctx context.Context, number uint64, status string, version uint32) (int64, error)
	updateCustomer(ctx context.Context, number uint64, c customer, version uint32) (int64, error)
	deletePayments(ctx context.Context, order uint64) (int64, error)
	deleteItems(ctx context.Context, order uint64) (int64, error)
	deleteOrder(ctx context.Context, order uint64, version uint32) (int64, error)
	commit(ctx context.Context) error
	rollback(ctx context.Context)
}

type order struct {
	number   uint64
	customer uint64
	priority int
	placed   time.Time
	total    string
	note     string
	meta     string
	lines    []item
	payment  *payment
}

type item struct {
	product  [16]byte
	quantity int
	price    string
	gift     bool
}

type payment struct {
	id        [16]byte
	order     uint64
	method    string
	amount    string
	rate      float64
	fee       string
	reference uint64
	token     []byte
	checks    string // bits
	paid      time.Time
}

type customer struct {
	note     string
	settings string
	seen     time.Time
	tier     string
}

// sale is one transaction of the application: what it does in a database, and to which rows. It can be done again when it was refused.
type sale struct {
	do      func(ctx context.Context, tx shopTx) error
	effects func() []effect // complete once done
	then    func()          // what the worker remembers once it is acknowledged
}

// errLost: a database does not have what was acknowledged before. Nothing is worse.
var errLost = errors.New("acknowledged write not found")

// errDoubt: the commit may or may not have happened.
var errDoubt = errors.New("outcome of a commit unknown")

// perform does a sale. Without an error the commit was acknowledged; with another than errDoubt nothing has happened.
func (s *sale) perform(ctx context.Context, db shopDB) error {
	tx, err := db.begin(ctx)
	if err != nil {
		return err
	}
	if err := s.do(ctx, tx); err != nil {
		tx.rollback(ctx)
		return err
	}
	if err := tx.commit(ctx); err != nil {
		if db.refused(err) {
			return err
		}
		return fmt.Errorf("%w: %w", errDoubt, err)
	}
	return nil
}

// found turns the wrong number of rows into errLost.
func found(n int64, want int, err error, what rowKey) error {
	if err == nil && n != int64(want) {
		return fmt.Errorf("%w: %s %x: %d rows, want %d", errLost, what.table, what.id, n, want)
	}
	return err
}
