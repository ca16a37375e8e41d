package testdb_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestPgBouncerLeadsToAServerAndKeepsItsPortOverARestart(t *testing.T) {
	db := testdb.Postgres(t, 15).Database(t)
	pool := testdb.NewPgBouncer(t, testdb.PgBouncerConfig{
		Databases: []string{fmt.Sprintf("shop = host=127.0.0.1 port=%d dbname=%s", db.Server.Port(), db.Name)},
	})
	through, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := through.User.Password()
	for range 2 {
		conn, err := pgx.Connect(t.Context(), pool.URL(through.User.Username(), password, "shop"))
		if err != nil {
			t.Fatal(err)
		}
		var name string
		if err := conn.QueryRow(t.Context(), "SELECT current_database()", pgx.QueryExecModeSimpleProtocol).Scan(&name); err != nil || name != db.Name {
			t.Errorf("it leads to %q, %v; want %q", name, err, db.Name)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := pool.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := pool.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
