package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// mysqlShop is the application's way into the old database.
type mysqlShop struct{ db *sql.DB }

// openMySQLShop opens a pool of sessions of the application's user.
func openMySQLShop(address, user, password string, sessions int) (*mysqlShop, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", address, user, password, "shop"
	c.InterpolateParams = true
	c.Params = map[string]string{"time_zone": "'+00:00'", "transaction_isolation": "'READ-COMMITTED'"}
	c.Logger = &mysql.NopLogger{} // the errors are handled
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(sessions)
	db.SetMaxIdleConns(sessions)
	return &mysqlShop{db}, nil
}

func (s *mysqlShop) close() { _ = s.db.Close() } // nothing hangs on how the sessions end

// gateClosed is the number of the error that crossfade's trigger raises.
const gateClosed = 1792

func (s *mysqlShop) refused(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == gateClosed
}

func (s *mysqlShop) begin(ctx context.Context) (shopTx, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	return &mysqlTx{tx}, err
}

type mysqlTx struct{ tx *sql.Tx }

func (t *mysqlTx) commit(context.Context) error { return t.tx.Commit() }
func (t *mysqlTx) rollback(context.Context)     { _ = t.tx.Rollback() } // a session that is gone has rolled back

func (t *mysqlTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t *mysqlTx) insertOrder(ctx context.Context, o *order) error {
	result, err := t.tx.ExecContext(ctx, "INSERT INTO orders (customer_id, priority, placed_at, handling, total, note, meta) VALUES (?, ?, ?, '26:30:00.5', ?, ?, ?)",
		o.customer, o.priority, o.placed.Format(microseconds), o.total, o.note, o.meta)
	if err != nil {
		return err
	}
	number, err := result.LastInsertId()
	o.number = uint64(number)
	return err
}

func (t *mysqlTx) insertItems(ctx context.Context, o *order) error {
	var args []any
	for i := range o.lines {
		l := &o.lines[i]
		args = append(args, o.number, i+1, l.product[:], l.quantity, l.price, l.gift)
	}
	_, err := t.exec(ctx, "INSERT INTO items (order_id, line, product_id, quantity, price, gift) VALUES (?, ?, ?, ?, ?, ?)"+
		strings.Repeat(", (?, ?, ?, ?, ?, ?)", len(o.lines)-1), args...)
	return err
}

func (t *mysqlTx) insertPayment(ctx context.Context, p *payment) error {
	_, err := t.exec(ctx, "INSERT INTO payments (id, order_id, method, amount, rate, fee, reference, token, checks, paid_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, b'"+p.checks+"', ?)",
		p.id[:], p.order, p.method, p.amount, fmt.Sprint(p.rate), p.fee, p.reference, p.token, p.paid.Format(microseconds))
	return err
}

func (t *mysqlTx) takeStock(ctx context.Context, product [16]byte, quantity int, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE products SET stock = stock - ?, version = version + 1 WHERE id = ? AND version = ?", quantity, product[:], version)
}

func (t *mysqlTx) reprice(ctx context.Context, product [16]byte, price string, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE products SET price = ?, version = version + 1 WHERE id = ? AND version = ?", price, product[:], version)
}

func (t *mysqlTx) advanceOrder(ctx context.Context, number uint64, status string, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE orders SET status = ?, shipped_on = IF(? = 'shipped', CURRENT_DATE, shipped_on), version = version + 1 WHERE id = ? AND version = ?", status, status, number, version)
}

func (t *mysqlTx) updateCustomer(ctx context.Context, number uint64, c customer, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE customers SET notes = ?, settings = ?, last_seen = ?, tier = ?, vip = 1 - vip, version = version + 1 WHERE id = ? AND version = ?",
		c.note, c.settings, c.seen.Format("2006-01-02 15:04:05"), c.tier, number, version)
}

func (t *mysqlTx) deletePayments(ctx context.Context, order uint64) (int64, error) {
	return t.exec(ctx, "DELETE FROM payments WHERE order_id = ?", order)
}

func (t *mysqlTx) deleteItems(ctx context.Context, order uint64) (int64, error) {
	return t.exec(ctx, "DELETE FROM items WHERE order_id = ?", order)
}

func (t *mysqlTx) deleteOrder(ctx context.Context, order uint64, version uint32) (int64, error) {
	return t.exec(ctx, "DELETE FROM orders WHERE id = ? AND version = ?", order, version)
}
