package gate_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// counted is a gate of its own for tables of d, each with a counter in the column id.
func (d *entered) counted(t *testing.T, tables ...string) *gate.MySQL {
	t.Helper()
	cfg := d.cfg
	cfg.Tables = nil
	for _, n := range tables {
		cfg.Tables = append(cfg.Tables, cutover.Table{Source: cutover.Name{Schema: "s", Table: n}, Target: cutover.Name{Schema: d.Name, Table: n}, AutoIncrement: "id", Sequence: "id"})
	}
	return openGate(t, cfg)
}

// A row of defaults is refused by a check or meets a unique key of any type: the counter is raised all the same, and nothing of the row stays.
func TestACounterIsRaisedWhereNoRowOfDefaultsGoes(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		d.Exec(t, `CREATE TABLE checked (id bigint AUTO_INCREMENT PRIMARY KEY, n int NOT NULL, twice int AS (n * 2) STORED, CONSTRAINT positive CHECK (n > 0)); INSERT INTO checked (n) VALUES (1);
			CREATE TABLE both_of (id bigint AUTO_INCREMENT PRIMARY KEY, n int NOT NULL UNIQUE, CHECK (n > 0)); INSERT INTO both_of (n) VALUES (1);
			CREATE TABLE numbers (id bigint AUTO_INCREMENT PRIMARY KEY, n int NOT NULL UNIQUE, at datetime NOT NULL, UNIQUE (at)); INSERT INTO numbers (n, at) VALUES (0, '2024-01-01');
			CREATE TABLE apart (k char(36) PRIMARY KEY, id int unsigned AUTO_INCREMENT UNIQUE); INSERT INTO apart (k) VALUES ('');
			CREATE TABLE shape (id int AUTO_INCREMENT PRIMARY KEY, g point NOT NULL); INSERT INTO shape (g) VALUES (point(1, 1))`)
		tables := []string{"checked", "both_of", "numbers", "apart", "shape"}
		g := d.counted(t, tables...)
		if found, err := g.Check(t.Context()); err != nil || has(found, "error", "counter") {
			t.Fatalf("%+v, %v", found, err)
		}
		do(t, g, protocol.Claim, 3, true)
		all, err := g.Generators(t.Context())
		if err != nil || len(all) != len(tables) {
			t.Fatalf("%+v, %v", all, err)
		}
		for i := range all {
			all[i].Last, all[i].SetTo = 4000, 5000
		}
		rule, _ := protocol.RuleOf(protocol.Sequences)
		if ok, err := g.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 3, Sequences: all}); !ok || err != nil {
			t.Fatalf("changed %v, %v", ok, err)
		}
		do(t, g, protocol.Open, 3, true)
		for _, n := range tables {
			var rows int
			if err := d.DB.QueryRow("SELECT COUNT(*) FROM " + n).Scan(&rows); err != nil || rows != 1 {
				t.Errorf("%s has %d rows, %v", n, rows, err)
			}
		}
		for n, row := range map[string]string{"checked": "(n) VALUES (7)", "both_of": "(n) VALUES (7)", "numbers": "(n, at) VALUES (7, '2025-01-01')", "apart": "(k) VALUES ('k')", "shape": "(g) VALUES (point(2, 2))"} {
			r, err := d.app.Exec("INSERT INTO " + n + " " + row)
			if err != nil {
				t.Fatal(err)
			}
			if id, _ := r.LastInsertId(); id != 5001 {
				t.Errorf("the next number of %s is %d", n, id)
			}
		}
	})
}

// What cannot be raised is known before anything is fenced, by trying; and the try leaves no row behind.
func TestACounterThatCannotBeRaisedIsANoGo(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		d.Exec(t, `CREATE TABLE fine (id int AUTO_INCREMENT PRIMARY KEY, n int); CREATE TABLE empty_one (id int AUTO_INCREMENT PRIMARY KEY, n int NOT NULL, CONSTRAINT positive CHECK (n > 0));
			CREATE TABLE signals (id int AUTO_INCREMENT PRIMARY KEY, n int); INSERT INTO signals (n) VALUES (1);
			CREATE TRIGGER signals_i BEFORE INSERT ON signals FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ask the boss'`)
		g := d.counted(t, "fine", "empty_one", "signals")
		found, err := g.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wrong := map[string]string{"signals": "ask the boss"}
		if d.cfg.Engine == change.MySQL { // MariaDB takes rows unchecked where it is told to
			wrong["empty_one"] = "positive"
		}
		for _, f := range found {
			if f.Code != "counter" {
				continue
			}
			table := strings.TrimPrefix(f.Object, d.Name+".")
			if words, ok := wrong[table]; !ok || f.Severity != "error" || !strings.Contains(f.Reason, words) || f.Remedy == "" {
				t.Errorf("%+v", f)
			}
			delete(wrong, table)
		}
		if len(wrong) > 0 {
			t.Errorf("not found: %v in %+v", wrong, found)
		}
		var rows sql.NullInt64
		if err := d.DB.QueryRow("SELECT (SELECT COUNT(*) FROM fine) + (SELECT COUNT(*) FROM empty_one) + (SELECT COUNT(*) FROM signals)").Scan(&rows); err != nil || rows.Int64 != 1 {
			t.Errorf("%v rows, %v", rows, err)
		}
	})
}

// What a counter was raised to outlives a crash of the server, also where the row that raised it met a unique key or the primary key.
func TestARaisedCounterOutlivesACrash(t *testing.T) {
	for engine, server := range map[change.Engine]*testdb.MySQLServer{change.MySQL: testdb.NewMySQL(t), change.MariaDB: testdb.NewMariaDB(t, "11.8")} {
		d := newEntered(t, server, engine)
		d.Exec(t, `CREATE TABLE plain (id bigint AUTO_INCREMENT PRIMARY KEY, n int);
			CREATE TABLE numbers (id bigint AUTO_INCREMENT PRIMARY KEY, n int NOT NULL UNIQUE); INSERT INTO numbers (n) VALUES (0);
			CREATE TABLE apart (k char(36) PRIMARY KEY, id int unsigned AUTO_INCREMENT UNIQUE); INSERT INTO apart (k) VALUES ('')`)
		g := d.counted(t, "plain", "numbers", "apart")
		do(t, g, protocol.Claim, 3, true)
		all, err := g.Generators(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			all[i].Last, all[i].SetTo = 4000, 5000
		}
		rule, _ := protocol.RuleOf(protocol.Sequences)
		if ok, err := g.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 3, Sequences: all}); !ok || err != nil {
			t.Fatalf("changed %v, %v", ok, err)
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		within(t, time.Minute, "the server answers", func() bool { all, err = g.Generators(t.Context()); return err == nil })
		for table, row := range map[string]string{"plain": "(n) VALUES (7)", "numbers": "(n) VALUES (7)", "apart": "(k) VALUES ('k')"} { // ours: the gate is closed
			r, err := d.DB.Exec("INSERT INTO " + table + " " + row)
			if err != nil {
				t.Fatal(err)
			}
			if id, _ := r.LastInsertId(); id != 5001 {
				t.Errorf("%s: after a crash the next number of %s is %d", engine, table, id)
			}
		}
	}
}
