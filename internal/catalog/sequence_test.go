package catalog

import (
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestSequencesThatNoColumnOwnsAreRead(t *testing.T) {
	t.Parallel()
	db := testdb.Postgres(t, 15).Database(t)
	db.Exec(t, `CREATE SCHEMA s; CREATE SCHEMA beside; CREATE SEQUENCE s."No; o" AS smallint INCREMENT -3 MINVALUE -90 MAXVALUE 7 START 5 CACHE 4 CYCLE;
		CREATE SEQUENCE beside.used; CREATE SEQUENCE beside.unused;
		CREATE TABLE s.t (id bigint PRIMARY KEY DEFAULT nextval('beside.used'), n serial, i int GENERATED ALWAYS AS IDENTITY);
		CREATE SEQUENCE s.given; ALTER SEQUENCE s.given OWNED BY s.t.n`)
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	got, err := PostgresSequences(t.Context(), conn, []*Table{{Schema: "s", Name: "t"}})
	want := []Sequence{
		{Schema: "beside", Name: "used", Text: "beside.used", Type: "bigint", Start: 1, Increment: 1, Min: 1, Max: 1<<63 - 1, Cache: 1, Used: true},
		{Schema: "s", Name: "No; o", Text: `s."No; o"`, Type: "smallint", Start: 5, Increment: -3, Min: -90, Max: 7, Cache: 4, Cycle: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}
