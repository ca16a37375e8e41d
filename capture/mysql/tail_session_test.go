package mysql

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// Row images that leave columns out are applied exactly: what an update does not name is the old value where the log has it, else absent; what an insert
// does not name is the column's default.
func TestPartialRowImagesAreExact(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, `CREATE TABLE m (id int PRIMARY KEY, a int DEFAULT 7, b text, c varchar(10) NOT NULL DEFAULT 'x  ', d datetime(3) DEFAULT '2020-01-02 03:04:05.678',
		e decimal(10,3) DEFAULT 1.5, f bit(4) DEFAULT b'101', g enum('p','q') DEFAULT 'q', h int AS (a + 1) VIRTUAL, i int AS (a + 2) STORED,
		j timestamp(6) DEFAULT CURRENT_TIMESTAMP(6), k double DEFAULT 0.1, l bigint unsigned DEFAULT 18446744073709551615, m char(5) DEFAULT 'y ', n date DEFAULT '2020-01-02')`)
	for _, image := range []string{"MINIMAL", "NOBLOB"} {
		d.Exec(t, "TRUNCATE TABLE m")
		events, err := changesOf(t, s, d,
			"SET SESSION binlog_row_image = "+image+", timestamp = 1700000000, time_zone = '+00:00'",
			"INSERT INTO m (id) VALUES (1)",
			"INSERT INTO m (id, a, b) VALUES (2, NULL, 'blob')",
			"UPDATE m SET a = 5 WHERE id = 1",
			"UPDATE m SET b = 'other' WHERE id = 2",
			"UPDATE m SET id = 3 WHERE id = 2",
			"DELETE FROM m WHERE id = 3",
		)
		tail := "text x   | datetime 2020-01-02 03:04:05.678 | decimal 1.500 | bits 0101 | text q | "
		end := " | timestamp 2023-11-14 22:13:20.000000 | float64 0.1 | uint 18446744073709551615 | text y | date 2020-01-02]"
		absent := func(n int) string { return strings.TrimSuffix(strings.Repeat("absent absent | ", n), " | ") }
		if image == "MINIMAL" {
			mustSee(t, events, err,
				"insert m -> [int 1 | int 7 | null | "+tail+"int 8 | int 9"+end, "commit",
				"insert m -> [int 2 | null | text blob | "+tail+"null | null"+end, "commit",
				"update m [int 1 | "+absent(14)+"] -> [int 1 | int 5 | "+absent(6)+" | int 6 | int 7 | "+absent(5)+"]", "commit",
				"update m [int 2 | "+absent(14)+"] -> [int 2 | absent absent | text other | "+absent(12)+"]", "commit",
				"update m [int 2 | "+absent(14)+"] -> [int 3 | "+absent(14)+"]", "commit",
				"delete m [int 3 | "+absent(14)+"]", "commit",
			)
			continue
		}
		one, two := tail+"int 8 | int 9"+end, tail+"null | null"+end
		mustSee(t, events, err,
			"insert m -> [int 1 | int 7 | null | "+one, "commit",
			"insert m -> [int 2 | null | text blob | "+two, "commit",
			"update m [int 1 | int 7 | absent absent | "+one+" -> [int 1 | int 5 | absent absent | "+tail+"int 6 | int 7"+end, "commit",
			"update m [int 2 | null | absent absent | "+two+" -> [int 2 | null | text other | "+two, "commit",
			"update m [int 2 | null | absent absent | "+two+" -> [int 3 | null | absent absent | "+two, "commit",
			"delete m [int 3 | null | absent absent | "+two, "commit",
		)
	}
}

// A column whose default cannot be told exactly stops an insert that leaves it out; it is never guessed.
func TestAnUnknownDefaultStopsAPartialInsert(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE u (id int PRIMARY KEY, f float DEFAULT 0.1)")
	_, err := changesOf(t, s, d, "SET SESSION binlog_row_image = MINIMAL", "INSERT INTO u (id) VALUES (1)")
	mustStop(t, err, d.Name+".u.f", "default is not known exactly", "binlog_row_image=FULL")
}

// The statements that applications write, as the row changes they are.
func TestStatementsOfManyKindsBecomeRowChanges(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, `CREATE TABLE a (id int PRIMARY KEY, u int UNIQUE, v varchar(10)); CREATE TABLE b (id int PRIMARY KEY, v varchar(10));
		CREATE TABLE p (k int, v int, PRIMARY KEY (v, k)) PARTITION BY RANGE (v) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)`)
	file := filepath.Join(t.TempDir(), "load.tsv")
	if err := os.WriteFile(file, []byte("7\t70\tseven\n8\t\\N\teight\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mysql.RegisterLocalFile(file)
	defer mysql.DeregisterLocalFile(file)
	for _, c := range []struct {
		name       string
		statements []string
		want       []string
	}{
		{"several rows", []string{"INSERT INTO a VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, 'three')"},
			[]string{"insert a -> [int 1 | int 10 | text one]", "insert a -> [int 2 | int 20 | text two]", "insert a -> [int 3 | int 30 | text three]", "commit"}},
		{"unique values swapped", []string{"BEGIN", "UPDATE a SET u = -1 WHERE id = 1", "UPDATE a SET u = 10 WHERE id = 2", "UPDATE a SET u = 20 WHERE id = 1", "COMMIT"},
			[]string{"update a [int 1 | int 10 | text one] -> [int 1 | int -1 | text one]", "update a [int 2 | int 20 | text two] -> [int 2 | int 10 | text two]",
				"update a [int 1 | int -1 | text one] -> [int 1 | int 20 | text one]", "commit"}},
		{"key changed", []string{"UPDATE a SET id = id + 100 WHERE id = 3"},
			[]string{"update a [int 3 | int 30 | text three] -> [int 103 | int 30 | text three]", "commit"}},
		{"delete and reinsert", []string{"BEGIN", "DELETE FROM a WHERE id = 1", "INSERT INTO a VALUES (1, 11, 'again')", "COMMIT"},
			[]string{"delete a [int 1 | int 20 | text one]", "insert a -> [int 1 | int 11 | text again]", "commit"}},
		{"on duplicate key", []string{"INSERT INTO a VALUES (1, 12, 'x'), (4, 40, 'four') ON DUPLICATE KEY UPDATE v = 'dup'"},
			[]string{"update a [int 1 | int 11 | text again] -> [int 1 | int 11 | text dup]", "insert a -> [int 4 | int 40 | text four]", "commit"}},
		{"replace", []string{"REPLACE INTO a VALUES (1, 40, 'rep')"},
			[]string{"delete a [int 1 | int 11 | text dup]", "update a [int 4 | int 40 | text four] -> [int 1 | int 40 | text rep]", "commit"}},
		{"savepoint rolled back", []string{"BEGIN", "INSERT INTO b VALUES (1, 'kept')", "SAVEPOINT s", "INSERT INTO b VALUES (2, 'undone')", "ROLLBACK TO s", "INSERT INTO b VALUES (3, 'kept')", "RELEASE SAVEPOINT s", "COMMIT"},
			[]string{"insert b -> [int 1 | text kept]", "insert b -> [int 3 | text kept]", "commit"}},
		{"rolled back", []string{"BEGIN", "INSERT INTO b VALUES (9, 'undone')", "ROLLBACK"}, nil},
		{"update of two tables", []string{"UPDATE a JOIN b ON a.id = b.id SET a.v = 'both', b.v = 'both'"},
			[]string{"update a [int 1 | int 40 | text rep] -> [int 1 | int 40 | text both]", "update b [int 1 | text kept] -> [int 1 | text both]", "commit"}},
		{"delete from two tables", []string{"DELETE a, b FROM a JOIN b ON a.id = b.id"},
			[]string{"delete a [int 1 | int 40 | text both]", "delete b [int 1 | text both]", "commit"}},
		{"load data", []string{"LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE a"},
			[]string{"insert a -> [int 7 | int 70 | text seven]", "insert a -> [int 8 | null | text eight]", "commit"}},
		{"another partition", []string{"INSERT INTO p VALUES (1, 5)", "UPDATE p SET v = 50 WHERE k = 1"},
			[]string{"insert p -> [int 1 | int 5]", "commit", "update p [int 1 | int 5] -> [int 1 | int 50]", "commit"}},
		{"truncate", []string{"TRUNCATE b", "INSERT INTO b VALUES (1, 'new')", "TRUNCATE TABLE `" + d.Name + "`.`b` /* comment */"},
			[]string{"truncate b", "commit", "insert b -> [int 1 | text new]", "commit", "truncate b", "commit"}},
		{"compressed", []string{"SET SESSION binlog_transaction_compression = ON", "BEGIN", "INSERT INTO b VALUES (1, 'c')", "UPDATE b SET v = 'd'", "COMMIT", "TRUNCATE b"},
			[]string{"insert b -> [int 1 | text c]", "update b [int 1 | text c] -> [int 1 | text d]", "commit", "truncate b", "commit"}},
		{"rows query", []string{"SET SESSION binlog_rows_query_log_events = ON", "INSERT INTO b VALUES (1, 'q')"}, []string{"insert b -> [int 1 | text q]", "commit"}},
	} {
		events, err := changesOf(t, s, d, c.statements...)
		t.Run(c.name, func(t *testing.T) { mustSee(t, events, err, c.want...) })
	}
}

// What cannot be followed stops, names the thing and says what to do. The position stays before it.
func TestWhatCannotBeFollowedStops(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	side := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v json, w int); INSERT INTO a VALUES (1, JSON_OBJECT('k', REPEAT('x', 1000)), 1); CREATE TABLE `ä` (id int PRIMARY KEY); CREATE TABLE e (id int PRIMARY KEY)")
	side.Exec(t, "CREATE TABLE o (id int PRIMARY KEY, v json, w int) PARTITION BY HASH (id); CREATE TABLE part (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 1")
	known := tables(t, d)
	for i, c := range []struct {
		name                   string
		statements             []string
		object, reason, remedy string
	}{
		{"statement format", []string{"SET SESSION binlog_format = STATEMENT", "UPDATE a SET w = 2"}, "transaction", "UPDATE was logged as a statement", "binlog_format=ROW"},
		{"statement format with variables", []string{"SET SESSION binlog_format = STATEMENT", "SET @x = 3", "UPDATE a SET w = @x"}, "transaction", "logged as a statement", "binlog_format=ROW"},
		{"statement format elsewhere", []string{"SET SESSION binlog_format = STATEMENT", "INSERT INTO " + side.Name + ".o VALUES (1, '1', 1)"}, "transaction", "logged as a statement", "ROW"},
		{"partial json", []string{"SET SESSION binlog_row_value_options = PARTIAL_JSON", "UPDATE a SET v = JSON_SET(v, '$.k', 'y')"}, d.Name + ".a", "PARTIAL_JSON", "turn it off"},
		{"xa", []string{"XA START 'x1'", "UPDATE a SET w = w + 1", "XA END 'x1'", "XA PREPARE 'x1'", "XA COMMIT 'x1'"}, d.Name + ".a", "XA transaction", "do not use XA"},
		{"alter", []string{"ALTER TABLE a ADD COLUMN n int"}, d.Name + ".a", "altered", "start again"},
		{"alter back", []string{"ALTER TABLE a DROP COLUMN n"}, d.Name + ".a", "altered", "start again"},
		{"unique index", []string{"CREATE UNIQUE INDEX i ON a (w)"}, d.Name + ".a", "unique index", ""},
		{"index dropped", []string{"DROP INDEX i ON a"}, d.Name + ".a", "index", ""},
		{"new table", []string{"CREATE TABLE n (id int PRIMARY KEY)"}, d.Name + ".n", "inside the selection", "exclude"},
		{"new table by select", []string{"CREATE TABLE n2 (PRIMARY KEY (id)) SELECT * FROM a"}, d.Name + ".n2", "inside the selection", "exclude"},
		{"renamed", []string{"RENAME TABLE a TO " + side.Name + ".a2"}, d.Name + ".a", "renamed to", ""},
		{"renamed in", []string{"RENAME TABLE " + side.Name + ".a2 TO a"}, d.Name + ".a", "was renamed", ""},
		{"renamed in by alter", []string{"ALTER TABLE " + side.Name + ".o ADD COLUMN z int, RENAME TO " + d.Name + ".o"}, d.Name + ".o", "renamed to it", ""},
		{"moved back", []string{"ALTER TABLE o RENAME " + side.Name + ".o"}, d.Name + ".o", "altered", ""},
		{"exchanged", []string{"ALTER TABLE " + side.Name + ".part EXCHANGE PARTITION p0 WITH TABLE " + d.Name + ".e WITHOUT VALIDATION"}, d.Name + ".e", "exchanged", ""},
		{"not ascii", []string{"SET NAMES latin1", "DROP TABLE \xe4", "SET NAMES utf8mb4", "CREATE TABLE " + side.Name + ".x (id int PRIMARY KEY)"}, d.Name + ".ä", "dropped", ""},
		{"ansi quotes", []string{"SET sql_mode = ANSI_QUOTES", `CREATE TABLE "q" (id int PRIMARY KEY)`}, d.Name + ".q", "inside the selection", ""},
		{"hidden in a comment", []string{"/*!50001 CREATE */ /* x */ TABLE -- y\n `h` (id int PRIMARY KEY)"}, d.Name + ".h", "inside the selection", ""},
		{"dropped", []string{"DROP TABLE IF EXISTS nowhere, a"}, d.Name + ".a", "dropped", ""},
		{"database dropped", []string{"CREATE TABLE a (id int PRIMARY KEY, v json, w int)", "DROP DATABASE " + d.Name, "CREATE DATABASE " + d.Name, "USE " + d.Name}, d.Name, "", ""},
	} {
		from := now(t, s)
		tail := startTail(t, s, from, known)
		inOneSession(t, d, c.statements...)
		_, err := follow(t, s, tail, now(t, s))
		t.Run(fmt.Sprintf("%d %s", i, c.name), func(t *testing.T) {
			mustStop(t, err, c.object, c.reason, c.remedy)
			if tail.Place() != from {
				t.Errorf("the place is %s, before it was %s", tail.Place(), from)
			}
			if _, again := tail.Next(t.Context()); again != err {
				t.Errorf("asked again it returns %v", again)
			}
		})
	}
}

// Schema changes that leave the migrated tables alone pass, and the commit of each is returned.
func TestSchemaChangesElsewherePass(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	side := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, w int)")
	o := side.Name
	user := "pass_" + o[:min(20, len(o))]
	events, err := changesOf(t, s, d,
		"CREATE TABLE "+o+".t (id int PRIMARY KEY, v json, KEY k ((CAST(v->'$.a' AS UNSIGNED ARRAY))), KEY f ((id + 1)))",
		"INSERT INTO "+o+".t VALUES (1, '{\"a\": [1, 2]}')",
		"SET SESSION binlog_row_value_options = PARTIAL_JSON",
		"UPDATE "+o+".t SET v = JSON_SET(v, '$.b', REPEAT('x', 500))", "UPDATE "+o+".t SET v = JSON_SET(v, '$.b', 'y')",
		"SET SESSION binlog_row_value_options = ''",
		"CREATE TABLE "+o+".s SELECT * FROM "+o+".t",
		"CREATE TABLE "+o+".vec (id int PRIMARY KEY, v vector(3))", "INSERT INTO "+o+".vec VALUES (1, STRING_TO_VECTOR('[1,2,3]'))",
		"ALTER TABLE "+o+".t ADD COLUMN x int, RENAME INDEX k TO k2", "ALTER TABLE "+o+".t RENAME COLUMN x TO x2, RENAME KEY k2 TO k3, ALGORITHM=INPLACE", "RENAME TABLE "+o+".t TO "+o+".t2", "TRUNCATE TABLE "+o+".t2",
		"CREATE UNIQUE INDEX i ON "+o+".t2 (x2)", "DROP INDEX i ON "+o+".t2", "DROP TABLE "+o+".t2, "+o+".s",
		"CREATE TABLE IF NOT EXISTS a (id int)", // an application that starts
		"CREATE INDEX w ON a (w)",
		"CREATE TRIGGER crossfade_gate BEFORE INSERT ON a FOR EACH ROW SET NEW.w = NEW.w + 1", "INSERT INTO a VALUES (1, 1)", "DROP TRIGGER crossfade_gate",
		"CREATE DEFINER = CURRENT_USER SQL SECURITY INVOKER VIEW v AS SELECT 1 AS one", "DROP VIEW v",
		"CREATE PROCEDURE pr() BEGIN INSERT INTO a VALUES (2, 2); UPDATE a SET w = 5 WHERE id = 2; END", "CALL pr()", "DROP PROCEDURE pr",
		"CREATE FUNCTION fu() RETURNS int DETERMINISTIC RETURN 1", "DROP FUNCTION fu",
		"CREATE EVENT ev ON SCHEDULE EVERY 1 YEAR STARTS '2100-01-01' DO DELETE FROM a", "DROP EVENT ev",
		"CREATE USER "+user+" IDENTIFIED BY 'pw'", "GRANT SELECT ON *.* TO "+user, "SET PASSWORD FOR "+user+" = 'x'", "ALTER USER "+user+" ACCOUNT LOCK", "DROP USER "+user,
		"ANALYZE TABLE a", "OPTIMIZE TABLE a", "FLUSH TABLES a",
		"CREATE TEMPORARY TABLE a (id int)", "INSERT INTO a VALUES (99)", "DROP TEMPORARY TABLE a", "DROP TABLE IF EXISTS nowhere",
		"ALTER TABLE a DISABLE KEYS", "ALTER TABLE a ENABLE KEYS",
		"XA START 'other'", "INSERT INTO "+o+".vec VALUES (2, STRING_TO_VECTOR('[1,2,3]'))", "XA END 'other'", "XA PREPARE 'other'", "XA COMMIT 'other'",
		"XA START 'one'", "INSERT INTO "+o+".vec VALUES (3, STRING_TO_VECTOR('[1,2,3]'))", "XA END 'one'", "XA COMMIT 'one' ONE PHASE",
		"XA START 'undo'", "INSERT INTO "+o+".vec VALUES (4, STRING_TO_VECTOR('[1,2,3]'))", "XA END 'undo'", "XA PREPARE 'undo'", "XA ROLLBACK 'undo'",
		"INSERT INTO a VALUES (3, 3)",
	)
	mustSee(t, events, err, "insert a -> [int 1 | int 2]", "commit", "insert a -> [int 2 | int 2]", "commit", "update a [int 2 | int 2] -> [int 2 | int 5]", "commit",
		"insert a -> [int 3 | int 3]", "commit")
}

// Columns that the server hides are not in the log, or are where the catalog has them.
func TestHiddenColumnsDoNotShiftOthers(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, `CREATE TABLE f (id int PRIMARY KEY, v json, w int, KEY k ((CAST(v->'$.a' AS UNSIGNED ARRAY))), KEY f ((id + 1)), z int INVISIBLE, KEY g ((w * 2)));
		SET SESSION sql_generate_invisible_primary_key = ON; CREATE TABLE g (a int, b int unsigned, c year, d bigint unsigned)`)
	events, err := changesOf(t, s, d, `INSERT INTO f VALUES (1, '{"a": [1, 2]}', 5)`, "UPDATE f SET z = 9", "SET SESSION binlog_row_image = MINIMAL", "UPDATE f SET w = 6", "DELETE FROM f",
		"INSERT INTO g VALUES (-1, 4294967295, 2024, 18446744073709551615)")
	mustSee(t, events, err,
		`insert f -> [int 1 | json {"a": [1, 2]} | int 5 | null]`, "commit",
		`update f [int 1 | json {"a": [1, 2]} | int 5 | null] -> [int 1 | json {"a": [1, 2]} | int 5 | int 9]`, "commit",
		`update f [int 1 | absent absent | absent absent | absent absent] -> [int 1 | absent absent | int 6 | absent absent]`, "commit",
		`delete f [int 1 | absent absent | absent absent | absent absent]`, "commit",
		`insert g -> [int 1 | int -1 | int 4294967295 | int 2024 | uint 18446744073709551615]`, "commit")
}

// Markers of this migration come in the order of the log; other rows of crossfade's tables do not, but their commits do.
func TestMarkersAndHeartbeats(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	s.cfg.Migration = d.Name
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	mark := func(migration, kind string, epoch int) string {
		return fmt.Sprintf("INSERT INTO crossfade.marker (migration, side, epoch, kind) VALUES ('%s', 'source', %d, '%s')", migration, epoch, kind)
	}
	events, err := changesOf(t, s, d, "BEGIN", "INSERT INTO a VALUES (1)", mark(d.Name, "fence", 3), "INSERT INTO a VALUES (2)", "COMMIT",
		mark("other "+d.Name[len(d.Name)-20:], "fence", 4), "DELETE FROM crossfade.marker WHERE migration = '"+d.Name+"'")
	mustSee(t, events, err, "insert a -> [int 1]", fmt.Sprintf("marker {Migration:%s Side:source Epoch:3 Kind:fence}", d.Name), "insert a -> [int 2]", "commit")
	for _, e := range events {
		if e.Time < 1_600_000_000_000_000 || e.Time > 4_000_000_000_000_000 {
			t.Errorf("%s has the time %d", e, e.Time)
		}
	}

	tail := startTail(t, s, now(t, s), tables(t, d))
	if err := s.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	commits := 0
	for commits == 0 {
		ev, err := tail.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch ev.Kind {
		case capture.Commit:
			commits++
		case capture.Alive:
		default:
			t.Fatalf("the heartbeat came back as %s", ev.Kind)
		}
	}
	for { // and a server that is idle says so
		ev, err := tail.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == capture.Alive {
			break
		}
	}
}

// What a session does with foreign_key_checks off cascades nowhere: each of its rows says so, and no other.
func TestRowsOfASessionWithoutForeignKeyChecksSayIt(t *testing.T) {
	for _, server := range []*testdb.MySQLServer{testdb.MySQL(t), testdb.MariaDB(t, "10.11"), testdb.MariaDB(t, "11.8")} {
		d := server.Database(t)
		s := scoped(t, d)
		d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY)")
		events, err := changesOf(t, s, d,
			"INSERT INTO p VALUES (1), (2), (3)",
			"SET foreign_key_checks = 0",
			"DELETE FROM p WHERE id = 1",
			"UPDATE p SET id = 9 WHERE id = 2",
			"SET foreign_key_checks = 1",
			"DELETE FROM p WHERE id = 3",
		)
		mustSee(t, events, err,
			"insert p -> [int 1]", "insert p -> [int 2]", "insert p -> [int 3]", "commit",
			"delete p [int 1] unchecked", "commit",
			"update p [int 2] -> [int 9] unchecked", "commit",
			"delete p [int 3]", "commit",
		)
	}
}
