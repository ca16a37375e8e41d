package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresShop is the application's way into the new database. It connects when it is first asked.
type postgresShop struct{ pool *pgxpool.Pool }

func openPostgresShop(url string, sessions int) (*postgresShop, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	c.MaxConns = int32(sessions)
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	return &postgresShop{pool}, err
}

func (s *postgresShop) close() { s.pool.Close() }

func (s *postgresShop) refused(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "25006" // read_only_sql_transaction
}

func (s *postgresShop) begin(ctx context.Context) (shopTx, error) {
	tx, err := s.pool.Begin(ctx)
	return &postgresTx{tx}, err
}

type postgresTx struct{ tx pgx.Tx }

func (t *postgresTx) commit(ctx context.Context) error { return t.tx.Commit(ctx) }
func (t *postgresTx) rollback(ctx context.Context) {
	_ = t.tx.Rollback(ctx) // a session that is gone has rolled back
}

func (t *postgresTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (t *postgresTx) insertOrder(ctx context.Context, o *order) error {
	var number int64
	err := t.tx.QueryRow(ctx, `INSERT INTO orders (customer_id, priority, placed_at, handling, total, note, meta)
		VALUES ($1::bigint, $2, $3::timestamp, '26:30:00.5', $4::text::numeric, $5, $6::text::jsonb) RETURNING id::bigint`,
		int64(o.customer), o.priority, o.placed, o.total, o.note, o.meta).Scan(&number)
	o.number = uint64(number)
	return err
}

func (t *postgresTx) insertItems(ctx context.Context, o *order) error {
	batch := &pgx.Batch{}
	for i := range o.lines {
		l := &o.lines[i]
		// amount was generated in the old database; here the application calculates it
		batch.Queue(`INSERT INTO items (order_id, line, product_id, quantity, price, amount, gift)
			VALUES ($1::bigint, $2, $3::uuid, $4::bigint, $5::text::numeric, $4::bigint * $5::text::numeric, $6)`,
			int64(o.number), i+1, l.product, l.quantity, l.price, l.gift)
	}
	return t.tx.SendBatch(ctx, batch).Close()
}

func (t *postgresTx) insertPayment(ctx context.Context, p *payment) error {
	_, err := t.exec(ctx, `INSERT INTO payments (id, order_id, method, amount, rate, fee, reference, token, checks, paid_at)
		VALUES ($1::uuid, $2::bigint, $3, $4::text::numeric, $5, $6::text::numeric, $7, $8, $9::text::bit(12), $10)`,
		p.id, int64(p.order), p.method, p.amount, p.rate, p.fee, p.reference, p.token, p.checks, p.paid)
	return err
}

func (t *postgresTx) takeStock(ctx context.Context, product [16]byte, quantity int, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE products SET stock = stock - $1, version = version + 1 WHERE id = $2 AND version = $3", quantity, product, int64(version))
}

func (t *postgresTx) reprice(ctx context.Context, product [16]byte, price string, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE products SET price = $1::text::numeric, gross = round($1::text::numeric * 1.20, 2), version = version + 1 WHERE id = $2 AND version = $3", price, product, int64(version))
}

func (t *postgresTx) advanceOrder(ctx context.Context, number uint64, status string, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE orders SET status = $1::text, shipped_on = CASE $1::text WHEN 'shipped' THEN CURRENT_DATE ELSE shipped_on END, version = version + 1 WHERE id = $2::bigint AND version = $3",
		status, int64(number), int64(version))
}

func (t *postgresTx) updateCustomer(ctx context.Context, number uint64, c customer, version uint32) (int64, error) {
	return t.exec(ctx, "UPDATE customers SET notes = $1, settings = $2::text::jsonb, last_seen = $3::timestamp(0), tier = $4, vip = NOT vip, version = version + 1 WHERE id = $5::bigint AND version = $6",
		c.note, c.settings, c.seen, c.tier, int64(number), int64(version))
}

func (t *postgresTx) deletePayments(ctx context.Context, order uint64) (int64, error) {
	return t.exec(ctx, "DELETE FROM payments WHERE order_id = $1::bigint", int64(order))
}

func (t *postgresTx) deleteItems(ctx context.Context, order uint64) (int64, error) {
	return t.exec(ctx, "DELETE FROM items WHERE order_id = $1::bigint", int64(order))
}

func (t *postgresTx) deleteOrder(ctx context.Context, order uint64, version uint32) (int64, error) {
	return t.exec(ctx, "DELETE FROM orders WHERE id = $1::bigint AND version = $2", int64(order), int64(version))
}
