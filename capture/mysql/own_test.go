package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// ledgerDDL is the ledger as an applier makes it.
const ledgerDDL = `CREATE TABLE IF NOT EXISTS crossfade.ledger (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, lane int NOT NULL, lanes int NOT NULL,
  stream_id varchar(64) NOT NULL DEFAULT '', seq bigint NOT NULL DEFAULT 0, sum bigint NOT NULL DEFAULT 0, token bigint NOT NULL DEFAULT 0, counter bigint NOT NULL DEFAULT 1,
  marker_epoch bigint NOT NULL DEFAULT 0, source_time bigint NOT NULL DEFAULT 0, PRIMARY KEY (migration, side, lane)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`

// withLedger is a source on a database of which an applier of its migration, and one of another, have made a target.
func withLedger(t testing.TB, d *testdb.MySQLDB) *Source {
	t.Helper()
	s := scoped(t, d)
	s.cfg.Migration = d.Name
	d.Exec(t, ledgerDDL)
	for _, m := range []string{d.Name, "not_" + d.Name} {
		d.Exec(t, fmt.Sprintf("INSERT INTO crossfade.ledger (migration, side, lane, lanes) VALUES ('%s', 'target', 0, 3), ('%[1]s', 'target', 1, 3), ('%[1]s', 'target', 2, 3)", m))
	}
	return s
}

// moved is the statement with which an applier begins its transactions.
func moved(migration, lane string) string {
	return "UPDATE crossfade.ledger SET seq = seq + 1, counter = counter + 1 WHERE migration = '" + migration + "' AND side = 'target'" + lane
}

// transactionOf puts statements into a transaction of an applier of a migration.
func transactionOf(migration, lane string, statements ...string) []string {
	return append(append([]string{"START TRANSACTION", moved(migration, lane)}, statements...), "COMMIT")
}

// everything reads all events up to a place, those of bare commits too.
func everything(t testing.TB, s *Source, tail capture.Tail, until string) (out []seen) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		at, err := s.Covers(tail.Place(), until)
		if err != nil {
			t.Fatal(err)
		}
		if at {
			return out
		}
		e, err := tail.Next(ctx)
		if err != nil {
			t.Fatalf("%v\nafter:\n%s", err, lines(out))
		}
		if e.Kind == capture.Alive {
			continue
		}
		got := seen{Event: *e, place: tail.Place()}
		got.Change.Before, got.Change.After = e.Change.Before.Clone(), e.Change.After.Clone()
		out = append(out, got)
	}
}

// eachEngine runs a test on MySQL and on the MariaDB versions, each with the log plain and compressed.
func eachEngine(t *testing.T, test func(t *testing.T, d *testdb.MySQLDB, session []string)) {
	t.Run("MySQL", func(t *testing.T) { test(t, testdb.MySQL(t).Database(t), nil) })
	t.Run("MySQL, compressed", func(t *testing.T) {
		test(t, testdb.MySQL(t).Database(t), []string{"SET SESSION binlog_transaction_compression = ON"})
	})
	for _, version := range mariadbVersionsTested {
		t.Run("MariaDB "+version, func(t *testing.T) { test(t, testdb.MariaDB(t, version).Database(t), nil) })
		t.Run("MariaDB "+version+", compressed", func(t *testing.T) {
			d := testdb.MariaDB(t, version).Database(t)
			global(t, d, "log_bin_compress", "1")
			global(t, d, "log_bin_compress_min_len", "10")
			test(t, d, nil)
		})
	}
}

// What an applier of this migration writes is no change of this database, however it is logged; what anybody else writes is, before, between and after, and from
// every place on.
func TestWhatOurAppliersWriteIsNoChange(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *testdb.MySQLDB, session []string) {
		side := d.Server.Database(t)
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v varchar(300)); CREATE TABLE f (id int PRIMARY KEY, x float DEFAULT 0.1)")
		side.Exec(t, "CREATE TABLE o (id int PRIMARY KEY)")
		s := withLedger(t, d)
		var many []string
		for i := range 400 { // of several rows events
			many = append(many, fmt.Sprintf("(%d, '%s')", 1000+i, strings.Repeat("x", 200)))
		}
		rows := strings.Join(many, ", ")
		app := func(id int) string { return fmt.Sprintf("INSERT INTO a VALUES (%d, 'app')", id) }
		run := append([]string(nil), session...)
		add := func(statements ...string) { run = append(run, statements...) }
		add(app(1))
		add(transactionOf(d.Name, " AND lane = 0", "INSERT INTO a VALUES (2, 'ours')", "UPDATE a SET v = 'ours' WHERE id = 1", "DELETE FROM a WHERE id = 1", "SAVEPOINT s", "INSERT INTO a VALUES (1, 'ours')", "ROLLBACK TO s")...)
		add(app(3))
		add(transactionOf(d.Name, "", "INSERT INTO a VALUES "+rows, "UPDATE a SET v = REPEAT('y', 200) WHERE id >= 1000", "DELETE FROM a WHERE id >= 1000", "INSERT INTO "+side.Name+".o VALUES (1)")...) // all lanes
		add(transactionOf(d.Name, " AND lane = 2")...)
		add(transactionOf(d.Name, " AND lane = 1", "SET SESSION binlog_row_image = MINIMAL", "INSERT INTO f (id) VALUES (1)", "SET SESSION binlog_row_image = FULL")...) // of which the log does not say all
		add(app(4))
		add(transactionOf("not_"+d.Name, "", app(5))...)
		add("START TRANSACTION", app(6), moved(d.Name, ""), app(7), "COMMIT")
		add("START TRANSACTION", "INSERT INTO "+side.Name+".o VALUES (2)", moved(d.Name, " AND lane = 1"), app(8), "COMMIT")
		add("START TRANSACTION", "INSERT INTO a VALUES "+rows, "COMMIT")
		add(transactionOf(d.Name, " AND lane = 0", "DELETE FROM a WHERE id BETWEEN 1000 AND 1100")...)
		add(app(9))
		from := now(t, s)
		tail := startTail(t, s, from, tables(t, d))
		inOneSession(t, d, run...)
		interleaved(t, d)
		end := now(t, s)
		all := everything(t, s, tail, end)

		var got, want []string
		commits := 0
		for _, e := range all {
			if e.Kind == capture.Commit {
				commits++
				continue
			}
			if e.Kind != capture.Row || e.Change.Op.String() != "insert" {
				t.Fatalf("it saw %s", e)
			}
			got = append(got, fmt.Sprint(e.Change.After[0].Int()))
		}
		for _, id := range []int{1, 3, 4, 5, 6, 7, 8} {
			want = append(want, fmt.Sprint(id))
		}
		for i := range many {
			want = append(want, fmt.Sprint(1000+i))
		}
		want = append(want, "9", "10", "11")
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("saw the rows %v\nwant %v", got, want)
		}
		if commits < 15 { // of shared servers others may come
			t.Errorf("%d commits were returned", commits)
		}
		for i := 0; i < len(all); i++ {
			if i > 30 && i < len(all)-15 && i%97 != 0 { // one row of many is like the next
				continue
			}
			again, err := s.Tail(t.Context(), all[i].place, values(tables(t, d)))
			if err != nil {
				t.Fatal(err)
			}
			if rest := everything(t, s, again, end); lines(rest) != lines(all[i+1:]) {
				t.Fatalf("from behind event %d (%s), at %s, it saw\n%.2000s\nwant\n%.2000s", i, all[i], all[i].place, lines(rest), lines(all[i+1:]))
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// interleaved commits a transaction of an applier while one of the application is open, and the other way round.
func interleaved(t testing.TB, d *testdb.MySQLDB) {
	t.Helper()
	ours, err := d.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := d.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	for _, step := range []struct {
		ours bool
		sql  string
	}{
		{false, "START TRANSACTION"}, {false, "INSERT INTO a VALUES (10, 'app')"},
		{true, "START TRANSACTION"}, {true, moved(d.Name, " AND lane = 0")}, {true, "INSERT INTO a VALUES (20, 'ours')"}, {true, "COMMIT"},
		{true, "START TRANSACTION"}, {true, moved(d.Name, " AND lane = 1")}, {true, "INSERT INTO a VALUES (21, 'ours')"},
		{false, "COMMIT"}, {false, "INSERT INTO a VALUES (11, 'app')"}, {true, "COMMIT"},
	} {
		conn := theirs
		if step.ours {
			conn = ours
		}
		if _, err := conn.ExecContext(t.Context(), step.sql); err != nil {
			t.Fatalf("%s: %v", step.sql, err)
		}
	}
}

// A place inside a transaction that is ours, made before its ledger was known, is read on from its commit.
func TestAPlaceInsideOurTransactionLeadsBehindIt(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *testdb.MySQLDB, session []string) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
		s := withLedger(t, d)
		from := now(t, s)
		inOneSession(t, d, append(append(session, transactionOf(d.Name, "", "INSERT INTO a VALUES (1), (2), (3)")...), "INSERT INTO a VALUES (4)")...)
		end := now(t, s)
		s.cfg.Migration = "nobody"
		all := everything(t, s, startTail(t, s, from, tables(t, d)), end)
		s.cfg.Migration = d.Name
		inside := 0
		for _, e := range all {
			if e.Kind != capture.Row || e.Change.After[0].Int() == 4 {
				continue
			}
			inside++
			events, err := follow(t, s, startTail(t, s, e.place, tables(t, d)), end)
			mustSee(t, events, err, "insert a -> [int 4]", "commit")
		}
		if inside != 3 {
			t.Errorf("there were %d places inside it", inside)
		}
	})
}

// A ledger in which the migration cannot be found stops: what is ours would go back to where it came from.
func TestALedgerOfAnotherShapeStops(t *testing.T) {
	server := testdb.NewMariaDB(t, "11.8")
	for name, ddl := range map[string]string{
		"short":   "CREATE TABLE crossfade.ledger (migration varchar(64) PRIMARY KEY)",
		"turned":  "CREATE TABLE crossfade.ledger (lane int, migration varchar(64), side varchar(16), PRIMARY KEY (migration, side, lane))",
		"renamed": "CREATE TABLE crossfade.ledger (side varchar(16), migration varchar(64), lane int, PRIMARY KEY (migration, side, lane))",
		"utf16":   "CREATE TABLE crossfade.ledger (migration varchar(64) CHARACTER SET utf16, side varchar(16), lane int, PRIMARY KEY (migration, side, lane))",
	} {
		t.Run(name, func(t *testing.T) {
			d := server.Database(t)
			s := scoped(t, d)
			d.Exec(t, "DROP TABLE IF EXISTS crossfade.ledger")
			d.Exec(t, ddl)
			global(t, d, "binlog_row_metadata", "FULL")
			_, err := changesOf(t, s, d, "INSERT INTO crossfade.ledger SET migration = 'x'"+map[bool]string{true: "", false: ", side = 's', lane = 1"}[name == "short"])
			mustStop(t, err, "crossfade.ledger", "the ledger", "what crossfade has made")
		})
	}
}

// The statements that crossfade itself sends to a server whose log is read are passed, with the tables that they name inside the selection, and so is a counter that is set;
// whatever else is done to the tables stops as before.
func TestOurOwnStatementsPass(t *testing.T) {
	for _, server := range []*testdb.MySQLServer{testdb.MySQL(t), testdb.MariaDB(t, "10.11"), testdb.MariaDB(t, "11.8")} {
		d := server.Database(t)
		s := withLedger(t, d)
		d.Exec(t, "CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, w int); CREATE TRIGGER theirs BEFORE UPDATE ON a FOR EACH ROW SET NEW.w = 1")
		q := "`" + d.Name + "`"
		trial := func(name string) string {
			return "CREATE DEFINER = CURRENT_USER TRIGGER " + q + ".`" + name + "` BEFORE UPDATE ON " + q + ".`a` FOR EACH ROW\nIF USER() NOT LIKE 'crossfade@%' THEN SET NEW.w = 1; END IF"
		}
		events, err := changesOf(t, s, d,
			"CREATE DATABASE IF NOT EXISTS crossfade", ledgerDDL,
			"CREATE TABLE "+q+".`crossfade_scratch` (id int PRIMARY KEY)", "CREATE TRIGGER "+q+".`crossfade_scratch_i` BEFORE INSERT ON "+q+".`crossfade_scratch` FOR EACH ROW SET @crossfade_scratch = 1",
			"DROP TABLE "+q+".`crossfade_scratch`", "DROP TABLE IF EXISTS "+q+".`crossfade_scratch`",
			"CREATE TABLE crossfade.scratch_"+d.Name+" (id int PRIMARY KEY)", "DROP TABLE crossfade.scratch_"+d.Name,
			"LOCK TABLES a WRITE", "DROP TRIGGER IF EXISTS "+q+".`crossfade_trial`", trial("crossfade_trial"), "DROP TRIGGER "+q+".`crossfade_trial`", "DROP TRIGGER IF EXISTS "+q+".`theirs`", trial("theirs"), "UNLOCK TABLES",
			"CREATE TRIGGER "+q+".`crossfade_gate` BEFORE INSERT ON "+q+".`a` FOR EACH ROW\nBEGIN IF (SELECT 1) = 2 THEN SIGNAL SQLSTATE '45000'; END IF; END",
			"ANALYZE NO_WRITE_TO_BINLOG TABLE a", "ANALYZE TABLE a",
			"ALTER TABLE a AUTO_INCREMENT = 100", "ALTER TABLE "+q+".`a` AUTO_INCREMENT 200", "ALTER TABLE a /* up */ auto_increment=300",
			"DROP TRIGGER IF EXISTS "+q+".`crossfade_gate`",
			"INSERT INTO a (w) VALUES (7)")
		mustSee(t, events, err, "insert a -> [int 300 | int 7]", "commit")

		known := tables(t, d)
		for _, statements := range [][]string{
			{"ALTER TABLE a AUTO_INCREMENT = 400, ADD COLUMN x int"}, {"ALTER TABLE a DROP COLUMN x, AUTO_INCREMENT = 500"}, {"ALTER TABLE a AUTO_INCREMENT = 600 COMMENT 'c'"},
			{"ALTER TABLE a AUTO_INCREMENT = 700, AUTO_INCREMENT = 800"}, {"ALTER TABLE a ENGINE = InnoDB"},
			{"CREATE TABLE crossfade_scratch2 (id int PRIMARY KEY)"}, {"DROP TABLE crossfade_scratch2"},
			{"CREATE TABLE crossfade_scratch (id int PRIMARY KEY)", "INSERT INTO crossfade_scratch VALUES (1)"}, {"RENAME TABLE crossfade_scratch TO b"},
		} {
			from := now(t, s)
			tail := startTail(t, s, from, known)
			inOneSession(t, d, statements...)
			_, err := follow(t, s, tail, now(t, s))
			mustStop(t, err, d.Name, "", "start again")
		}
	}
}
