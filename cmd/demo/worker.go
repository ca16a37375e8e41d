package main

import (
	"context"
	"fmt"
	"time"
)

// worker is one of the application's connections. It sells products, serves customers and handles orders of its own share only, so what it has been
// told by the database stays true until it changes it.
type worker struct {
	seller
	app    *application
	n      int // of app.workers
	ledger ledger
	open   []*order // placed here, not paid yet
	paid   []*order
	orders int // handled of the orders that were there from the beginning
}

// next makes up the next transaction.
func (w *worker) next() sale {
	switch c := w.IntN(100); {
	case c < 18 && len(w.open) > 0:
		return w.pay(take(w, &w.open))
	case c < 24 && len(w.paid) > 0:
		return w.ship(take(w, &w.paid))
	case c < 28 && len(w.paid) > 0:
		return w.giveBack(take(w, &w.paid))
	case c < 34:
		if o := w.oldOrder(); o != nil && w.IntN(3) > 0 {
			return w.ship(o)
		} else if o != nil {
			return w.giveBack(o)
		}
	case c < 46:
		return w.serve()
	case c < 54:
		return w.reprice()
	}
	return w.place()
}

// take removes a random order from a list.
func take(w *worker, list *[]*order) *order {
	l := *list
	i := w.IntN(len(l))
	o := l[i]
	l[i] = l[len(l)-1]
	*list = l[:len(l)-1]
	return o
}

// own picks a number from 1 to n that belongs to this worker, and whose row is not in doubt.
func (w *worker) own(n int, key func(n int) rowKey) (int, rowKey) {
	for {
		i := w.IntN((n-w.n-1)/w.app.workers+1)*w.app.workers + w.n + 1
		if k := key(i); !w.ledger.doubted(k) {
			return i, k
		}
	}
}

func (w *worker) ownProduct() ([16]byte, rowKey) {
	n, k := w.own(w.app.shop.products, func(n int) rowKey { return rowKey{table: products, id: productID(n)} })
	return productID(n), k
}

// oldOrder is an order that was there from the beginning, each once; nil when all were.
func (w *worker) oldOrder() *order {
	n := w.orders*w.app.workers + w.n + 1
	if n > w.app.shop.orders {
		return nil
	}
	w.orders++
	o := &order{number: uint64(n), lines: make([]item, lines(n))}
	if paid(n) {
		o.payment = &payment{id: paymentID(n)}
	}
	return o
}

func (w *worker) place() sale {
	o := &order{customer: uint64(1 + w.IntN(w.app.shop.customers)), priority: w.IntN(10), placed: time.Now().UTC(), total: w.money(5000),
		note: w.pick(emoji) + " " + w.pick(notes), meta: fmt.Sprintf(`{"via": "demo", "worker": %d}`, w.n)}
	for range 1 + w.IntN(3) {
		o.lines = append(o.lines, item{product: productID(1 + w.IntN(w.app.shop.products)), quantity: 1 + w.IntN(9), price: w.money(900), gift: w.IntN(2) == 0})
	}
	product, stock := w.ownProduct()
	o.lines[0].product = product
	version := w.ledger.version(stock)
	return sale{
		do: func(ctx context.Context, tx shopTx) error {
			if err := tx.insertOrder(ctx, o); err != nil {
				return err
			}
			if err := tx.insertItems(ctx, o); err != nil {
				return err
			}
			n, err := tx.takeStock(ctx, product, o.lines[0].quantity, version)
			return found(n, 1, err, stock)
		},
		effects: func() []effect {
			out := []effect{{stock, state{version: version + 1}}, {numbered(orders, o.number), state{version: 1}}}
			for i := range o.lines {
				out = append(out, effect{itemKey(o.number, i+1), state{version: 1}})
			}
			return out
		},
		then: func() { w.open = append(w.open, o) },
	}
}

func (w *worker) pay(o *order) sale {
	key := numbered(orders, o.number)
	version := w.ledger.version(key)
	p := &payment{id: randomID(w.Rand), order: o.number, method: w.pick([]string{"card", "transfer", "invoice", "coins"}), amount: o.total, rate: w.Float64() * 1e-3,
		fee: fmt.Sprintf("%d.%018d", w.IntN(100), w.Int64N(1e18)), reference: w.Uint64(), token: fmt.Appendf(nil, "\x00%016x\x00", w.Uint64()), checks: fmt.Sprintf("%012b", w.IntN(4096)), paid: time.Now().UTC()}
	return sale{
		do: func(ctx context.Context, tx shopTx) error {
			if err := tx.insertPayment(ctx, p); err != nil {
				return err
			}
			n, err := tx.advanceOrder(ctx, o.number, "paid", version)
			return found(n, 1, err, key)
		},
		effects: func() []effect {
			return []effect{{key, state{version: version + 1}}, {rowKey{table: payments, id: p.id}, state{version: 1}}}
		},
		then: func() { o.payment = p; w.paid = append(w.paid, o) },
	}
}

func (w *worker) ship(o *order) sale {
	key := numbered(orders, o.number)
	version := w.ledger.version(key)
	return sale{
		do: func(ctx context.Context, tx shopTx) error {
			n, err := tx.advanceOrder(ctx, o.number, "shipped", version)
			return found(n, 1, err, key)
		},
		effects: func() []effect { return []effect{{key, state{version: version + 1}}} },
		then:    func() {},
	}
}

// giveBack deletes an order with all that belongs to it.
func (w *worker) giveBack(o *order) sale {
	key := numbered(orders, o.number)
	version := w.ledger.version(key)
	gone := state{gone: true}
	return sale{
		do: func(ctx context.Context, tx shopTx) error {
			want := 0
			if o.payment != nil {
				want = 1
			}
			n, err := tx.deletePayments(ctx, o.number)
			if err := found(n, want, err, key); err != nil {
				return err
			}
			n, err = tx.deleteItems(ctx, o.number)
			if err := found(n, len(o.lines), err, key); err != nil {
				return err
			}
			n, err = tx.deleteOrder(ctx, o.number, version)
			return found(n, 1, err, key)
		},
		effects: func() []effect {
			out := []effect{{key, gone}}
			for i := range o.lines {
				out = append(out, effect{itemKey(o.number, i+1), gone})
			}
			if o.payment != nil {
				out = append(out, effect{rowKey{table: payments, id: o.payment.id}, gone})
			}
			return out
		},
		then: func() {},
	}
}

func (w *worker) serve() sale {
	n, key := w.own(w.app.shop.customers, func(n int) rowKey { return numbered(customers, uint64(n)) })
	version := w.ledger.version(key)
	c := customer{note: w.pick(notes) + w.pick(emoji), settings: w.pick(settings), seen: time.Now().UTC(), tier: w.pick([]string{"bronze", "silver", "gold"})}
	return sale{
		do: func(ctx context.Context, tx shopTx) error {
			rows, err := tx.updateCustomer(ctx, uint64(n), c, version)
			return found(rows, 1, err, key)
		},
		effects: func() []effect { return []effect{{key, state{version: version + 1}}} },
		then:    func() {},
	}
}

func (w *worker) reprice() sale {
	product, key := w.ownProduct()
	version, price := w.ledger.version(key), w.money(900)
	return sale{
		do: func(ctx context.Context, tx shopTx) error {
			n, err := tx.reprice(ctx, product, price, version)
			return found(n, 1, err, key)
		},
		effects: func() []effect { return []effect{{key, state{version: version + 1}}} },
		then:    func() {},
	}
}
