package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// keyed is a table by the kind of its key. key makes the key of row n as a MySQL expression, in which i stands for n.
type keyed struct {
	name, columns, primary string
	key                    string // expressions of the key columns
	move                   string // SET that gives every chosen row a new, free key
	mysql, postgres        string // key as text, the same on both sides
}

var keyedTables = []keyed{
	{"by_int", "id INT NOT NULL", "id", "i", "id = -id", "id", "id"},
	{"by_unsigned", "id BIGINT UNSIGNED NOT NULL", "id", "18446744073709551615 - i", "id = id - 1000000", "id", "id"},
	{"by_two", "a INT UNSIGNED NOT NULL, b SMALLINT NOT NULL", "a, b", "4294967295 - i DIV 7, i % 7 - 3", "b = b + 100", "CONCAT(a, ' ', b)", "concat(a, ' ', b)"},
	{"by_text", "code VARCHAR(40) COLLATE utf8mb4_bin NOT NULL", "code", `CONCAT(ELT(i % 5 + 1, 'é', '\\', 'a b', '''', '😀'), i)`, "code = CONCAT('moved ', code)", "HEX(code)", "upper(encode(convert_to(code, 'UTF8'), 'hex'))"},
	{"by_name", "name VARCHAR(40) COLLATE utf8mb4_0900_ai_ci NOT NULL", "name", "CONCAT(ELT(i % 3 + 1, 'Ab', 'é', 'Zz'), i)", "name = CONCAT('moved ', name)", "HEX(name)", "upper(encode(convert_to(name, 'UTF8'), 'hex'))"},
	{"by_binary", "id BINARY(16) NOT NULL", "id", "UNHEX(LEFT(SHA2(i, 256), 32))", "id = UNHEX(LEFT(SHA2(id, 256), 32))", "HEX(id)", "upper(encode(id, 'hex'))"},
	{"by_bytes", "id VARBINARY(20) NOT NULL, day DATE NOT NULL", "id, day", "CONCAT(CHAR(0), UNHEX(LEFT(SHA2(i, 256), i % 30 + 2 - (i % 30) % 2)), i), '2024-01-01' + INTERVAL i % 400 DAY", "day = day + INTERVAL 1000 DAY",
		"CONCAT(HEX(id), ' ', day)", "concat(upper(encode(id, 'hex')), ' ', day)"},
}

// TestTablesOfEveryKindOfKeyArriveEqualWhileTheirKeysChange changes rows and keys of each table before, during and after its copy.
func TestTablesOfEveryKindOfKeyArriveEqualWhileTheirKeysChange(t *testing.T) {
	const rows = 4000
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15), "snapshot: {chunk_rows: 500, parallel: 2}")
	conn, err := r.my.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(q string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	numbers := func(from, to int) string {
		return fmt.Sprintf("WITH RECURSIVE s(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM s WHERE i < %d)", from, to)
	}
	exec("SET SESSION cte_max_recursion_depth = 1000000")
	for _, k := range keyedTables {
		exec(fmt.Sprintf("CREATE TABLE %s (%s, n INT NOT NULL, u INT NULL, v VARCHAR(60), PRIMARY KEY (%s), UNIQUE KEY u (u))", k.name, k.columns, k.primary))
		exec(fmt.Sprintf("INSERT INTO %s %s SELECT %s, i, i, CONCAT('v', i) FROM s", k.name, numbers(1, rows), k.key))
	}
	// change does to the rows whose n is step modulo 20 or near it what is hard to follow.
	change := func(step int) {
		t.Helper()
		for _, k := range keyedTables {
			exec("BEGIN")
			exec(fmt.Sprintf("UPDATE %s SET v = CONCAT(v, '+%d') WHERE n %% 20 = %d", k.name, step, step%20))
			exec(fmt.Sprintf("UPDATE %s SET %s WHERE n %% 200 = %d", k.name, k.move, step))
			exec("COMMIT")
			exec("BEGIN") // the same keys go and come again
			exec(fmt.Sprintf("CREATE TEMPORARY TABLE gone AS SELECT * FROM %s WHERE n %% 200 = %d", k.name, step+20))
			exec(fmt.Sprintf("DELETE FROM %s WHERE n %% 200 = %d", k.name, step+20))
			exec(fmt.Sprintf("INSERT INTO %s SELECT * FROM gone", k.name))
			exec("COMMIT")
			exec("DROP TEMPORARY TABLE gone")
			exec("BEGIN") // pairs of rows swap a unique value
			exec(fmt.Sprintf("UPDATE %s SET u = -u WHERE n %% 200 IN (%d, %d)", k.name, step+40, step+60))
			exec(fmt.Sprintf("UPDATE %s SET u = IF(n %% 200 = %d, -u + 20, -u - 20) WHERE n %% 200 IN (%d, %d)", k.name, step+40, step+40, step+60))
			exec("COMMIT")
			exec(fmt.Sprintf("DELETE FROM %s WHERE n %% 200 = %d", k.name, step+80))
			exec(fmt.Sprintf("INSERT INTO %s %s SELECT %s, i, NULL, 'new' FROM s", k.name, numbers(rows+1+100*step, rows+60+100*step), k.key))
		}
	}
	change(0)
	r.start()
	for step := 1; step <= 6; step++ { // while it is copied
		change(step)
	}
	r.waitReady()
	for step := 7; step <= 12; step++ { // and when it is strict
		change(step)
	}
	// keys that are equal for their collation only, and keys that move along a chain in one statement
	exec("UPDATE by_name SET name = UPPER(name) WHERE n % 50 = 13")
	exec("BEGIN")
	exec("DELETE FROM by_name WHERE name = 'ab3'")
	exec("INSERT INTO by_name VALUES ('AB3', 3, NULL, 'other case')")
	exec("COMMIT")
	exec("UPDATE by_int SET id = id + 1 ORDER BY id DESC")
	exec("UPDATE by_two SET a = a - 1 ORDER BY a")
	for _, k := range keyedTables {
		r.caughtUp(k.name)
		cols := "%s, n, u, v FROM %s ORDER BY n, u IS NULL"
		r.equal(k.name, fmt.Sprintf("SELECT "+cols, k.mysql, k.name), fmt.Sprintf("SELECT "+cols, k.postgres, k.name))
	}
	if out := r.must("verify"); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify printed %s", out)
	}
}
