package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// The table, as an application has them: a number as key, a few short columns, a note. A row has 190 bytes as a line of COPY.
const (
	mysqlTable = `CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, customer INT NOT NULL, status VARCHAR(20) NOT NULL, total DECIMAL(12,2) NOT NULL,
 created DATETIME(6) NOT NULL, note VARCHAR(255))`
	postgresTable = `CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, customer integer NOT NULL, status varchar(20) NOT NULL, total numeric(12,2) NOT NULL,
 created timestamp(6) NOT NULL, note varchar(255))`
	columns  = "id, customer, status, total, created, note"
	rowBytes = 190
)

var statuses = []string{"received", "paid", "packed", "shipped", "delivered", "returned"}

var words = []string{"please", "leave", "it", "with", "the", "neighbour", "ring", "twice", "gift", "wrap", "no", "paper", "invoice", "late", "morning",
	"Köln", "fragile", "second", "floor", "call", "before", "side", "door"}

// noise is a number that looks random and is the same every time.
func noise(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 ^ b*0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 29
	return x
}

// order is one row.
type order struct {
	id       int64
	customer int32
	status   string
	cents    int64
	seconds  int // of 2026
	micros   int
	note     string
}

func newOrder(id int64) order {
	n := noise(uint64(id), 1)
	o := order{id: id, customer: int32(100_000 + n%900_000)}
	o.set(noise(uint64(id), 2))
	length := len(o.line()) + 1 // with the end of the line
	var note []byte
	for k := uint64(3); length+len(note) < rowBytes-12; k++ {
		note = append(append(note, words[noise(uint64(id), k)%uint64(len(words))]...), ' ')
	}
	for length+len(note) < rowBytes {
		note = append(note, '.')
	}
	o.note = string(note)
	return o
}

// set fills what an update changes.
func (o *order) set(n uint64) {
	o.status = statuses[n%uint64(len(statuses))]
	o.cents = int64(n >> 8 % 1_000_000)
	o.seconds = int(n >> 20 % 31_000_000)
	o.micros = int(n >> 30 % 1_000_000)
}

func (o *order) total() string { return fmt.Sprintf("%d.%02d", o.cents/100, o.cents%100) }

func (o *order) created() string {
	day := o.seconds / 86400
	s := o.seconds % 86400
	return fmt.Sprintf("2026-%02d-%02d %02d:%02d:%02d.%06d", 1+day/28%12, 1+day%28, s/3600, s/60%60, s%60, o.micros)
}

// line is the row as COPY and LOAD DATA read it; nothing in it needs to be escaped.
func (o *order) line() string {
	return strconv.FormatInt(o.id, 10) + "\t" + strconv.Itoa(int(o.customer)) + "\t" + o.status + "\t" + o.total() + "\t" + o.created() + "\t" + o.note
}

// lines gives the rows of a fresh table.
func lines(rows int) io.Reader {
	r, w := io.Pipe()
	go func() { // ends with the last row, or when the reader closes
		buf := make([]byte, 0, 1<<17)
		for id := range rows {
			o := newOrder(int64(id) + 1)
			buf = append(append(buf, o.line()...), '\n')
			if len(buf) > 1<<16 || id == rows-1 {
				if _, err := w.Write(buf); err != nil {
					return
				}
				buf = buf[:0]
			}
		}
		w.Close()
	}()
	return r
}

// load fills the table on the source and on the publisher.
func (b *bench) load(ctx context.Context) error {
	if err := loadMySQL(ctx, b.db, b.Rows); err != nil {
		return err
	}
	if err := execPostgres(ctx, b.publisher, "postgres", "CREATE DATABASE "+database); err != nil {
		return err
	}
	return onPostgres(ctx, b.publisher, database, func(conn *pgx.Conn) error {
		for _, table := range []string{postgresTable, endTable} {
			if _, err := conn.Exec(ctx, table); err != nil {
				return err
			}
		}
		return copyRows(ctx, conn, b.Rows)
	})
}

func copyRows(ctx context.Context, conn *pgx.Conn, rows int) error {
	text := lines(rows)
	_, err := conn.PgConn().CopyFrom(ctx, text, "COPY orders FROM STDIN")
	if c, ok := text.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// loadMySQL makes the table in a database, with its rows.
func loadMySQL(ctx context.Context, db *sql.DB, rows int) error {
	mysql.RegisterReaderHandler("orders", func() io.Reader { return lines(rows) })
	defer mysql.DeregisterReaderHandler("orders")
	if _, err := db.ExecContext(ctx, mysqlTable); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::orders' INTO TABLE orders CHARACTER SET utf8mb4"); err != nil {
		return fmt.Errorf("load the source: %w", err)
	}
	_, err := db.ExecContext(ctx, "ANALYZE TABLE orders")
	return err
}
