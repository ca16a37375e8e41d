package postgres

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

func orderTable() *change.Table {
	return &change.Table{Schema: "public", Name: "orders", Source: "shop.orders", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.Int}, {Name: "customer", Type: "integer", Kind: change.Int},
		{Name: "status", Type: "character varying(20)", Kind: change.Text}, {Name: "total", Type: "numeric(12,2)", Kind: change.Decimal},
		{Name: "created", Type: "timestamp(6) without time zone", Kind: change.DateTime}, {Name: "note", Type: "text", Kind: change.Text, Nullable: true}}}
}

const orderDDL = `CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, status varchar(20) NOT NULL, total numeric(12,2) NOT NULL,
 created timestamp(6) NOT NULL, note text)`

func order(id int64, version int) change.Row {
	return change.Row{change.NewInt(id), change.NewInt(id % 9973), change.NewText("status " + fmt.Sprint(version%10)),
		{Kind: change.Decimal, B: fmt.Appendf(nil, "%d.%02d", id%10000, version%100)},
		{Kind: change.DateTime, B: []byte("2026-11-22 12:34:56.123456")}, change.NewText("a note that is a little longer than the rest of the row, as notes are, and says nothing at all")}
}

// BenchmarkCatchUp applies a backlog of small changes, nine updates to one insert, of a table of 200,000 rows in strict mode.
func BenchmarkCatchUp(b *testing.B) {
	for _, kind := range []string{"folded", "ordered"} {
		for _, lanes := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/lanes=%d", kind, lanes), func(b *testing.B) {
				orders := orderTable()
				w := newWorld(b, 15, orderDDL, apply.TableSetup{Source: "shop.orders", Target: orders, Unique: kind == "ordered"})
				w.opts.Lanes = lanes
				const rows = 200_000
				w.db.Exec(b, `INSERT INTO orders SELECT n, n % 9973, 'status 0', 1.5, '2026-01-01', 'a note that is a little longer than the rest of the row, as notes are, and says nothing at all' FROM generate_series(1, 200000) n`)
				w.db.Exec(b, "VACUUM ANALYZE orders")
				w.log.control(b, change.ControlMessage{Type: change.Strict, Table: "shop.orders"})
				w.start()
				w.applied()
				if err := w.stop(); err != nil {
					b.Fatal(err)
				}
				const total = 400_000
				random := rand.New(rand.NewPCG(1, 2))
				var frame []change.Change
				for n := range total {
					c := upd(orders, order(1+random.Int64N(rows), n))
					if n%10 == 0 {
						c = ins(orders, order(rows+1+int64(n), n))
					}
					if frame = append(frame, c); len(frame) == 2000 {
						w.log.add(b, frame...)
						frame = frame[:0]
					}
				}
				b.ResetTimer()
				for range b.N {
					begun := time.Now()
					w.start()
					w.applied()
					b.ReportMetric(total/time.Since(begun).Seconds(), "rows/s")
				}
				if err := w.stop(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkCopy applies chunks of a snapshot, beside the same rows by one raw COPY.
func BenchmarkCopy(b *testing.B) {
	const total = 500_000
	for _, lanes := range []int{1, 4} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			orders := orderTable()
			w := newWorld(b, 15, orderDDL, apply.TableSetup{Source: "shop.orders", Target: orders})
			w.opts.Lanes = lanes
			var chunk []change.Row
			for n := range total {
				if chunk = append(chunk, order(int64(n), n)); len(chunk) == 2000 {
					w.log.chunk(b, orders, chunk...)
					chunk = chunk[:0]
				}
			}
			for range b.N {
				begun := time.Now()
				w.start()
				w.applied()
				b.ReportMetric(total/time.Since(begun).Seconds(), "rows/s")
			}
			if err := w.stop(); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.Run("raw", func(b *testing.B) {
		w := newWorld(b, 15, orderDDL)
		var text bytes.Buffer
		for n := range total {
			row := order(int64(n), n)
			for i, v := range row {
				if i > 0 {
					text.WriteByte('\t')
				}
				text.Write(v.AppendText(nil))
			}
			text.WriteByte('\n')
		}
		for range b.N {
			begun := time.Now()
			conn := w.db.Connect(b)
			if _, err := conn.PgConn().CopyFrom(b.Context(), bytes.NewReader(text.Bytes()), "COPY orders FROM STDIN"); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(total/time.Since(begun).Seconds(), "rows/s")
		}
	})
}
