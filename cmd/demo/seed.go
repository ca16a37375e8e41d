package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	seedBatch   = 500  // rows of a statement
	seedCommit  = 5000 // rows of a transaction
	seedWriters = 3
)

// seedSession: the shop has zero dates, which strict mode refuses, and tables are filled beside those that they refer to.
const seedSession = "SET SESSION sql_mode = '', foreign_key_checks = 0, time_zone = '+00:00'"

// seed makes the tables and fills them. done counts rows while it works. Sessions of the pool are not fit for anything else afterwards.
func seed(ctx context.Context, db *sql.DB, e extent, done *atomic.Int64) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, s := range append([]string{seedSession}, shopSchema...) {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("make the shop: %w", err)
		}
	}
	type share struct {
		filling
		from, to int
	}
	var work []share
	for _, f := range e.fillings() {
		for from := 1; from <= f.n; from += seedCommit {
			work = append(work, share{f, from, min(from+seedCommit-1, f.n)})
		}
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range seedWriters {
		g.Go(func() error {
			conn, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := conn.ExecContext(ctx, seedSession+", autocommit = 0"); err != nil {
				return err
			}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(work) {
					return nil
				}
				s := work[i]
				for from := s.from; from <= s.to; from += seedBatch {
					stmt := s.insert(from, min(from+seedBatch-1, s.to))
					if stmt == "" {
						continue // orders without payments
					}
					result, err := conn.ExecContext(ctx, stmt)
					if err != nil {
						return fmt.Errorf("fill the shop: %w", err)
					}
					rows, err := result.RowsAffected()
					if err != nil {
						return err
					}
					done.Add(rows)
				}
				if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
					return fmt.Errorf("fill the shop: %w", err)
				}
			}
		})
	}
	return g.Wait()
}

// filling is how a table is filled.
type filling struct {
	table   table
	columns string
	n       int                          // of them
	row     func(b []byte, n int) []byte // appends what belongs to number n, each row with a comma after it
}

func (e extent) fillings() []filling {
	return []filling{
		{orders, "id, customer_id, status, priority, placed_at, shipped_on, handling, total, note, meta", e.orders, e.order},
		{items, "order_id, line, product_id, quantity, price, gift", e.orders, e.itemsOf},
		{payments, "id, order_id, method, amount, rate, fee, reference, token, checks, paid_at", e.orders, e.payment},
		{customers, "id, uuid, name, email, vip, tier, interests, birthday, member_since, last_seen, balance, settings, notes, created_at", e.customers, e.customer},
		{products, "id, name, description, category, price, weight, rating, flags, stock, colour, labels, warranty, released, listed_on, picture, discontinued, details", e.products, e.product},
	}
}

// insert is the statement for some numbers; empty when nothing belongs to them.
func (f *filling) insert(from, to int) string {
	head := "INSERT INTO " + f.table.String() + " (" + f.columns + ") VALUES "
	b := []byte(head)
	for n := from; n <= to; n++ {
		b = f.row(b, n)
	}
	if len(b) == len(head) {
		return ""
	}
	return string(b[:len(b)-1])
}

// seller makes up values. The same number gives the same row.
type seller struct{ *rand.Rand }

func of(kind table, n int) seller { return seller{rand.New(rand.NewPCG(uint64(kind), uint64(n)))} }

func (r seller) pick(from []string) string { return from[r.IntN(len(from))] }

func (r seller) money(most int) string {
	cents := r.IntN(most*100-1) + 1
	return fmt.Sprintf("%d.%02d", cents/100, cents%100)
}

var (
	firstNames = []string{"Ada", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Giovanni", "Hélène", "Íñigo", "Jürgen", "Kaori", "Łukasz", "Mónica", "Nguyễn", "Oluwaseun", "Siân", "太郎", "李"}
	lastNames  = []string{"Andersson", "O'Brien", "Çelik", "D\\Souza", "García", "Ødegård", "Kowalski", "Lefèvre", "Müller", "Nakamura", "van 't Hoff", "Smith", "王", "Ζήσης"}
	emoji      = []string{"🎁", "🚀", "🙂", "🐘", "🐬", "👩‍🚀", "💶", "✅"}
	notes      = []string{"rings twice\r\nleave at the door\r\n", "says \"hello\"\tand 'bye'", "C:\\orders\\late", "100% happy; called back", "prefers mail\nnever phone", "{not, an, array}", "\\N"}
	goods      = []string{"Lamp", "Kettle", "Chess set", "Garden hose", "Headphones", "Notebook", "Hammer", "Tent", "Fiddle", "Teapot", "Globe", "Watch"}
	interests  = []string{"", "books", "music,games", "garden,tools", "books,music,games,garden,tools", "tools"}
	labels     = []string{"", "new", "sale,eco", "new,fragile", "new,sale,eco,fragile"}
	warranties = []string{"24:00:00", "720:30:00", "838:59:59", "00:00:00", "-00:30:00", "100:00:01"}
	settings   = []string{`{"news": true, "theme": "dark"}`, `{"news": false, "sizes": [1, 2.5, "XL"], "theme": null}`, `{}`, `{"a": {"b": {"c": "🐬 to 🐘"}}}`}
)

func (e extent) customer(b []byte, n int) []byte {
	r := of(customers, n)
	name := r.pick(firstNames) + " " + r.pick(lastNames)
	b = fmt.Appendf(b, "(%d,0x%x,%s,'customer%d@example.com',%d,'%s','%s',", n, customerID(n), text(name), n, r.IntN(2), r.pick([]string{"bronze", "silver", "gold"}), r.pick(interests))
	switch r.IntN(12) {
	case 0:
		b = append(b, "NULL,"...)
	case 1:
		b = append(b, "'0000-00-00',"...)
	default:
		b = fmt.Appendf(b, "'%04d-%02d-%02d',", 1930+r.IntN(80), 1+r.IntN(12), 1+r.IntN(28))
	}
	b = fmt.Appendf(b, "%d,", 1995+r.IntN(30))
	if r.IntN(15) == 0 {
		b = append(b, "'0000-00-00 00:00:00',"...)
	} else {
		b = moment(b, r, time.DateTime)
	}
	b = fmt.Appendf(b, "%d.%04d,%s,", r.IntN(20000)-5000, r.IntN(10000), text(r.pick(settings)))
	if r.IntN(3) == 0 {
		b = append(b, text(r.pick(notes)+r.pick(emoji))...)
	} else {
		b = append(b, "NULL"...)
	}
	b = append(b, ',')
	b = moment(b, r, microseconds)
	b[len(b)-1] = ')'
	return append(b, ',')
}

func (e extent) product(b []byte, n int) []byte {
	r := of(products, n)
	b = fmt.Appendf(b, "(0x%x,%s,%s,%d,%s,%g,", productID(n), text(fmt.Sprintf("%s no. %d %s", r.pick(goods), n, r.pick(emoji))),
		text("Fine work.\r\n\r\n* "+r.pick(notes)), r.IntN(65536), r.money(900), float32(r.IntN(1e6))/1000)
	if r.IntN(9) == 0 {
		b = append(b, "NULL,"...)
	} else {
		b = append(strconv.AppendFloat(b, r.Float64()*5, 'g', -1, 64), ',')
	}
	b = fmt.Appendf(b, "%d,%d,", r.IntN(256), 1_000_000+r.IntN(4_000_000_000-1_000_000))
	b = append(b, r.pick([]string{"'red',", "'green',", "'blue',", "'none',", "NULL,"})...)
	b = fmt.Appendf(b, "'%s','%s',%d,", r.pick(labels), r.pick(warranties), 1990+r.IntN(36))
	if r.IntN(10) == 0 {
		b = append(b, "'0000-00-00',"...)
	} else {
		b = fmt.Appendf(b, "'%04d-%02d-%02d',", 2000+r.IntN(26), 1+r.IntN(12), 1+r.IntN(28))
	}
	if r.IntN(2) == 0 {
		b = fmt.Appendf(b, "0x00%016x00,", r.Uint64())
	} else {
		b = append(b, "NULL,"...)
	}
	return fmt.Appendf(b, "%d,%s),", r.IntN(2), text(r.pick(settings)))
}

// customerOf is who placed order n.
func (e extent) customerOf(n int) int { return 1 + int(mix(uint64(n)+7)%uint64(e.customers)) }

func (e extent) order(b []byte, n int) []byte {
	r := of(orders, n)
	b = fmt.Appendf(b, "(%d,%d,'%s',%d,", n, e.customerOf(n), map[bool]string{true: "paid", false: "new"}[paid(n)], r.IntN(10))
	b = moment(b, r, microseconds)
	if r.IntN(2) == 0 {
		b = append(b, "NULL,"...)
	} else {
		b = fmt.Appendf(b, "'2025-%02d-%02d',", 1+r.IntN(12), 1+r.IntN(28))
	}
	b = fmt.Appendf(b, "'%02d:%02d:%02d.%03d',%s,", r.IntN(200), r.IntN(60), r.IntN(60), r.IntN(1000), r.money(5000))
	if r.IntN(4) == 0 {
		b = append(b, text(r.pick(emoji)+" "+r.pick(notes))...)
	} else {
		b = append(b, "NULL"...)
	}
	if r.IntN(3) == 0 {
		return append(b, ",NULL),"...)
	}
	return fmt.Appendf(b, `,'{"ip": "10.0.%d.%d", "cart": [%d, %d]}'),`, r.IntN(256), r.IntN(256), r.IntN(1000), r.IntN(1000))
}

func (e extent) itemsOf(b []byte, n int) []byte {
	r := of(items, n)
	for line := 1; line <= lines(n); line++ {
		b = fmt.Appendf(b, "(%d,%d,0x%x,%d,%s,%d),", n, line, productID(1+r.IntN(e.products)), 1+r.IntN(9), r.money(900), r.IntN(2))
	}
	return b
}

func (e extent) payment(b []byte, n int) []byte {
	if !paid(n) {
		return b
	}
	r := of(payments, n)
	b = fmt.Appendf(b, "(0x%x,%d,'%s',%s,", paymentID(n), n, r.pick([]string{"card", "transfer", "invoice", "coins"}), r.money(5000))
	b = append(strconv.AppendFloat(b, r.Float64()*1e-3, 'g', -1, 64), ',')
	b = fmt.Appendf(b, "%d.%018d,%d,0x%016x%016x,%d,", r.IntN(100), r.Int64N(1e18), r.Uint64(), r.Uint64(), r.Uint64(), r.IntN(4096))
	b = moment(b, r, microseconds)
	b[len(b)-1] = ')'
	return append(b, ',')
}

const microseconds = "2006-01-02 15:04:05.000000"

// moment appends a time of the last years.
func moment(b []byte, r seller, layout string) []byte {
	at := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(4 * 365 * 24 * time.Hour))))
	b = append(b, '\'')
	b = at.AppendFormat(b, layout)
	return append(b, '\'', ',')
}

// text writes a literal of MySQL.
func text(s string) string {
	b := make([]byte, 0, len(s)+8)
	b = append(b, '\'')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\'', '\\':
			b = append(b, '\\', c)
		case '\r':
			b = append(b, `\r`...)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '\''))
}
