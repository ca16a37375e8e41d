package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// sameRows is an error when a PostgreSQL table does not hold the rows of the source. It shares no code with crossfade: both sides print the rows in order,
// and the texts must be the same.
func (b *bench) sameRows(ctx context.Context, s *testdb.PostgresServer, name string) error {
	want := &digest{Hash: sha256.New()}
	if err := selectText(b.source, "SELECT id, customer, status, total, DATE_FORMAT(created, '%Y-%m-%d %H:%i:%s.%f'), note FROM orders ORDER BY id", want); err != nil {
		return err
	}
	got := &digest{Hash: sha256.New()}
	err := onPostgres(ctx, s, name, func(conn *pgx.Conn) error {
		_, err := conn.PgConn().CopyTo(ctx, got, "COPY (SELECT id, customer, status, total, to_char(created, 'YYYY-MM-DD HH24:MI:SS.US'), note FROM orders ORDER BY id) TO STDOUT")
		return err
	})
	if err != nil {
		return err
	}
	if want.String() != got.String() {
		return fmt.Errorf("database %s does not hold the rows of the source: %s, the source %s", name, got, want)
	}
	return nil
}

// digest is a sum of a text, and its length.
type digest struct {
	hash.Hash
	n int64
}

func (d *digest) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	return d.Hash.Write(p)
}

func (d *digest) String() string { return fmt.Sprintf("%x (%d bytes)", d.Sum(nil)[:8], d.n) }
