package transform

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/canonical"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// source makes tables in MySQL and reads them as a migration does.
func source(t *testing.T, ddl string) []*catalog.Table {
	t.Helper()
	s := testdb.MySQL(t)
	d := s.Database(t)
	for _, stmt := range strings.Split(ddl, ";") {
		if strings.TrimSpace(stmt) != "" {
			d.Exec(t, stmt)
		}
	}
	db, err := s.Open(d.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	tables, err := catalog.MySQL(t.Context(), db, func(schema, table string) bool { return schema == d.Name })
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

const sourceDDL = `
CREATE TABLE users (
	id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'the "key"',
	Email varchar(190) NOT NULL UNIQUE,
	status enum('new','it''s','Ü') NOT NULL DEFAULT 'it''s',
	tags set('a','b') DEFAULT 'a,b',
	score decimal(10,2) NOT NULL DEFAULT '-1.5',
	ratio double DEFAULT 1e-7, f float DEFAULT 1.1, small tinyint unsigned DEFAULT 255, year year DEFAULT 1999,
	bio text, raw varbinary(20) DEFAULT 'a\'', tok binary(4) DEFAULT 'ab',
	created datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	updated timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
	day date DEFAULT '2024-02-29', at datetime(2) DEFAULT '2024-02-29 10:00:00.5', span time(1) DEFAULT '-838:59:59',
	flags bit(5) DEFAULT b'101', active tinyint(1) DEFAULT 1,
	doc json DEFAULT (json_array()), note varchar(20) DEFAULT ('x'), uid char(36) DEFAULT (uuid()), g geometry,
	up varchar(200) GENERATED ALWAYS AS (upper(Email)) STORED, hidden int INVISIBLE DEFAULT 7,
	KEY bio (bio(10), score DESC), UNIQUE KEY tok (tok, day), KEY raw (raw(3)), FULLTEXT KEY words (bio), KEY fn ((lower(note))),
	CONSTRAINT positive CHECK (score > -100)
) COMMENT 'it''s "us" \\ them';
CREATE TABLE orders (
	id int NOT NULL AUTO_INCREMENT, user_id bigint unsigned NOT NULL, parent int, email varchar(190), qty int NOT NULL,
	PRIMARY KEY (id), KEY (user_id), UNIQUE KEY (parent),
	CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
	CONSTRAINT orders_email FOREIGN KEY (email) REFERENCES users (Email) ON DELETE SET NULL ON UPDATE CASCADE,
	CONSTRAINT orders_parent FOREIGN KEY (parent) REFERENCES orders (id)
);
CREATE TABLE pairs (b varbinary(10) NOT NULL, a int NOT NULL, v json, PRIMARY KEY (b, a));
CREATE TABLE orders_id_seq (id smallint unsigned NOT NULL PRIMARY KEY);
CREATE TABLE by_unique (x int NOT NULL, y int, UNIQUE KEY ux (x))
`

func run(t *testing.T, conn *pgx.Conn, statements []Statement) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s.SQL); err != nil {
			t.Fatalf("%s %s: %v\n%s", s.Kind, s.Object, err, s.SQL)
		}
	}
}

func fails(t *testing.T, conn *pgx.Conn, sql, want string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", sql, err, want)
	}
}

func TestTheTargetIsMadeAsPlanned(t *testing.T) {
	tables := source(t, sourceDDL)
	rules := Rules{Schema: "store", Types: []TypeRule{{Match: "mysql:tinyint(1)", As: "boolean"}}}
	p := compile(t, rules, tables...)
	for _, major := range []int{15, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			conn := testdb.Postgres(t, major).Database(t).Connect(t)
			for range 2 { // a crash may come between any two statements
				run(t, conn, p.DDL(Before))
			}
			checkShapes(t, conn, p)
			run(t, conn, []Statement{{SQL: `INSERT INTO store.users (email, updated) VALUES ('a@b', '2024-01-01 00:00:00+00')`}})
			for range 2 {
				run(t, conn, p.DDL(After))
			}
			checkShapes(t, conn, p)
			checkBehaviour(t, conn)
			run(t, conn, p.DDL(Undo))
			run(t, conn, p.DDL(Undo))
			var left int
			if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'store'::regnamespace) + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'store'::regnamespace)`).Scan(&left); err != nil || left != 0 {
				t.Errorf("%d relations and functions are left after undo, %v", left, err)
			}
		})
	}
}

// checkShapes compares the plan with what the server says it has.
func checkShapes(t *testing.T, conn *pgx.Conn, p *Plan) {
	t.Helper()
	real, err := catalog.Postgres(t.Context(), conn, func(schema, _ string) bool { return schema == "store" })
	if err != nil {
		t.Fatal(err)
	}
	if len(real) != len(p.Tables()) {
		t.Errorf("%d tables, planned %d", len(real), len(p.Tables()))
	}
	for _, planned := range p.Tables() {
		found := false
		for _, r := range real {
			if r.String() != planned.Target.String() {
				continue
			}
			found = true
			var got, want []string
			for i, c := range r.Columns {
				k := ""
				for n, at := range r.Key {
					if at == i {
						k = fmt.Sprint(" key ", n)
					}
				}
				got = append(got, fmt.Sprintf("%s %s %v%s", c.Name, c.Type.Full, c.Nullable, k))
			}
			for i, c := range planned.Target.Columns {
				k := ""
				for n, at := range planned.Target.Key {
					if at == i {
						k = fmt.Sprint(" key ", n)
					}
				}
				want = append(want, fmt.Sprintf("%s %s %v%s", c.Name, c.Type, c.Nullable, k))
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s has\n%s\nplanned\n%s", r, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		if !found {
			t.Errorf("no table %s", planned.Target)
		}
	}
}

func checkBehaviour(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var defaults string
	query := `SELECT concat_ws('|', id, status, tags, score, ratio, f, small, year, raw, tok, day, at, span, flags, active, doc, note, length(uid), hidden) FROM store.users`
	if err := conn.QueryRow(t.Context(), query).Scan(&defaults); err != nil {
		t.Fatal(err)
	}
	if want := `1|it's|a,b|-1.50|1e-07|1.1|255|1999|\x6127|\x61620000|2024-02-29|2024-02-29 10:00:00.5|-838:59:59|00101|t|[]|x|36|7`; defaults != want {
		t.Errorf("defaults %s\nwant     %s", defaults, want)
	}
	fails(t, conn, `INSERT INTO store.users (email) VALUES ('a@b')`, "users_email")
	fails(t, conn, `INSERT INTO store.users (email, status) VALUES ('x', 'old')`, "users_status_check")
	fails(t, conn, `INSERT INTO store.orders (user_id, qty) VALUES (99, 1)`, "orders_user")
	run(t, conn, []Statement{{SQL: `INSERT INTO store.orders (user_id, email, qty) VALUES (1, 'a@b', 1)`}, {SQL: `UPDATE store.users SET email = 'c@d'`}})
	var moved bool
	var email string
	if err := conn.QueryRow(t.Context(), `SELECT u.updated > now() - interval '1 hour', o.email FROM store.users u, store.orders o`).Scan(&moved, &email); err != nil || !moved || email != "c@d" {
		t.Errorf("ON UPDATE: moved %v, child %s, %v", moved, email, err)
	}
	// The applier's sessions are replicas: a replicated value is not touched.
	run(t, conn, []Statement{{SQL: `SET session_replication_role = replica`}, {SQL: `UPDATE store.users SET updated = '2020-01-01 00:00:00+00'`},
		{SQL: `UPDATE store.users SET score = 5`}, {SQL: `RESET session_replication_role`}})
	if err := conn.QueryRow(t.Context(), `SELECT updated = '2020-01-01 00:00:00+00' FROM store.users`).Scan(&moved); err != nil || !moved {
		t.Errorf("the trigger fired for a replica: %v", err)
	}
	var invalid int
	if err := conn.QueryRow(context.Background(), `SELECT count(*) FROM pg_constraint WHERE NOT convalidated`).Scan(&invalid); err != nil || invalid != 0 {
		t.Errorf("%d constraints are not validated, %v", invalid, err)
	}
}

func TestATargetMadeByHandIsChecked(t *testing.T) {
	src := []*catalog.Table{table("shop.a", "id int", "b varchar(10) null", "c int", "d datetime", "e int"), table("shop.gone", "id int")}
	p := compile(t, Rules{Tables: []TableRule{{Source: Name{"shop", "a"}, Columns: []ColumnRule{{Source: "e", Drop: true}}}}}, src...)
	conn := testdb.Postgres(t, 18).Database(t).Connect(t)
	check := func() string {
		t.Helper()
		real, err := catalog.Postgres(t.Context(), conn, func(schema, _ string) bool { return schema == "public" })
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range p.CheckTarget(real) {
			if f.Severity != catalog.Error || f.Reason == "" || f.Remedy == "" {
				t.Errorf("an incomplete finding: %+v", f)
			}
			out = append(out, strings.TrimPrefix(f.Code, "mapping.target_")+" "+strings.TrimPrefix(f.Object, "public."))
		}
		return strings.Join(out, "|")
	}
	run(t, conn, p.DDL(Before))
	if got := check(); got != "" {
		t.Errorf("our own tables: %s", got)
	}
	run(t, conn, []Statement{{SQL: `DROP TABLE a, gone`}, {SQL: `CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY, b varchar(20) NOT NULL, c int GENERATED ALWAYS AS (1) STORED, more int NOT NULL, fine int NOT NULL DEFAULT 1,
		UNIQUE (id) DEFERRABLE, UNIQUE (b), FOREIGN KEY (b) REFERENCES a (b))`}})
	want := "identity a.id|type a.b|null a.b|generated a.c|column a.d|unfilled a.more|unique a|unique a|key a|foreign_key a|table gone"
	if got := check(); got != want {
		t.Errorf("findings %s\nwant     %s", got, want)
	}
}

// TestTheTargetTakesWhatIsMapped writes edge values of every type, mapped, into the table that the plan makes, and reads them back.
func TestTheTargetTakesWhatIsMapped(t *testing.T) {
	edges := []struct {
		typ    string
		as     string
		kind   change.Kind
		values []string
	}{
		{"bigint unsigned", "", change.Int, []string{"0", "18446744073709551615"}},
		{"tinyint", "", change.Int, []string{"-128", "127"}},
		{"tinyint unsigned", "", change.Int, []string{"255"}},
		{"smallint unsigned", "", change.Int, []string{"65535"}},
		{"mediumint unsigned", "", change.Int, []string{"16777215"}},
		{"int unsigned", "", change.Int, []string{"4294967295"}},
		{"year", "", change.Int, []string{"0", "2155"}},
		{"tinyint(1)", "boolean", change.Int, []string{"0", "1"}},
		{"decimal(65,30)", "", change.Decimal, []string{"-99999999999999999999999999999999999.999999999999999999999999999999", "0.000000000000000000000000000000"}},
		{"decimal(10,2)", "numeric(14,4)", change.Decimal, []string{"-1.50"}},
		{"char(3)", "", change.Text, []string{"", "añ"}},
		{"varchar(4)", "", change.Text, []string{"😀😀  ", `\'"`}},
		{"longtext", "", change.Text, []string{"", strings.Repeat("é", 3000)}},
		{"binary(16)", "uuid", change.Bytes, []string{"0123456789abcdef"}},
		{"blob", "", change.Bytes, []string{"", "\x00\\'\xff"}},
		{"bit(64)", "", change.Bits, []string{strings.Repeat("10", 32)}},
		{"date", "", change.Date, []string{"0001-01-01", "9999-12-31", "2000-02-29"}},
		{"datetime(6)", "", change.DateTime, []string{"0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"}},
		{"datetime(3)", "timestamptz at UTC", change.DateTime, []string{"1000-01-01 00:00:00.001"}},
		{"timestamp", "", change.Timestamp, []string{"1970-01-01 00:00:01", "2038-01-19 03:14:07"}},
		{"time(6)", "", change.Time, []string{"-838:59:59.000000", "838:59:59.000000", "00:00:00.000000", "-00:00:00.000001"}},
		{"json", "", change.JSON, []string{`{"a": [1, 1.0, -0.0, "x"], "bb": {"c": null}}`, "null", `18446744073709551615`, "1.7976931348623157e308"}},
		{"enum('a','b')", "", change.Text, []string{"b"}},
		{"set('a','b')", "", change.Text, []string{"", "a,b"}},
	}
	columns, rule := []string{"id int"}, TableRule{Source: Name{"shop", "t"}}
	for i, e := range edges {
		name := fmt.Sprintf("c%d", i)
		columns = append(columns, name+" "+e.typ+" null")
		if e.as != "" {
			rule.Columns = append(rule.Columns, ColumnRule{Source: name, As: e.as})
		}
	}
	p := compile(t, Rules{Tables: []TableRule{rule}}, tables(columns...)...)
	tab, m := p.Tables()[0], p.Mapper()
	conn := testdb.Postgres(t, 15).Database(t).Connect(t)
	run(t, conn, p.DDL(Before))
	run(t, conn, p.DDL(After))
	run(t, conn, []Statement{{SQL: "SET TimeZone = 'UTC'"}})
	for i, e := range edges {
		column := tab.Target.Columns[i+1]
		for _, text := range e.values {
			row := make(change.Row, len(columns))
			row[0] = change.NewInt(1)
			v := val(e.kind, text)
			if e.kind == change.Int {
				n, err := strconv.ParseInt(text, 10, 64)
				if v = change.NewInt(n); err != nil {
					v = change.NewUint(math.MaxUint64)
				}
			}
			row[i+1] = v
			out, _, err := m.Row(tab, row)
			if err != nil {
				t.Errorf("%s %q: %v", e.typ, text, err)
				continue
			}
			mapped := out[i+1]
			written := string(mapped.AppendText(nil))
			switch mapped.Kind {
			case change.Bytes:
				written = fmt.Sprintf(`\x%x`, mapped.B)
			case change.Timestamp:
				written += "+00"
			}
			var read []byte
			// An INSERT without a cast: the column must take the value as it is, not cut or rounded by one.
			query := fmt.Sprintf(`INSERT INTO public.t (id, %[1]s) VALUES (1, %[2]s) ON CONFLICT (id) DO UPDATE SET %[1]s = EXCLUDED.%[1]s RETURNING %[1]s::text`, quote(column.Name), literal(written))
			if err := conn.QueryRow(t.Context(), query).Scan(&read); err != nil {
				t.Errorf("%s %q as %s: %v", e.typ, text, column.Type, err)
				continue
			}
			back, err := canonical.ParsePG(column, read)
			if err != nil {
				t.Errorf("%s %q as %s: %v", e.typ, text, column.Type, err)
				continue
			}
			a, err := canonical.AppendCanonical(nil, change.Postgres, column, mapped)
			if err != nil {
				t.Errorf("%s %q as %s: %v", e.typ, text, column.Type, err)
			}
			b, err := canonical.AppendCanonical(nil, change.Postgres, column, back)
			if err != nil || string(a) != string(b) {
				t.Errorf("%s %q as %s: mapped to %q, read as %q, %v", e.typ, text, column.Type, mapped, read, err)
			}
			if mapped.Kind != change.JSON && !same(mapped, back) {
				t.Errorf("%s %q as %s: mapped to %s %q, read back as %s %q", e.typ, text, column.Type, mapped.Kind, mapped, back.Kind, back)
			}
		}
	}
}

func BenchmarkMap(b *testing.B) {
	p, err := Compile(Rules{}, tables("id bigint", "a int", "b varchar(100)", "c datetime(6)", "d decimal(10,2)", "e text null", "f json", "g double"))
	if err != nil {
		b.Fatal(err)
	}
	c := change.Change{Table: p.Tables()[0].Source.Shape(), Op: change.Insert, After: change.Row{change.NewInt(1), change.NewInt(2), text(strings.Repeat("x", 60)),
		val(change.DateTime, "2024-01-31 10:00:00.123456"), val(change.Decimal, "1.50"), text(strings.Repeat("y", 60)), val(change.JSON, `{"a": 1}`), change.NewFloat64(1)}}
	m := p.Mapper()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Map(&c); err != nil {
			b.Fatal(err)
		}
	}
}
