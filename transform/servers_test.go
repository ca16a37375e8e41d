package transform

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/catalog"
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
