package gate_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

var _ cutover.Enterer = (*gate.MySQL)(nil)

// entered is a MySQL or MariaDB target with the tables t and child, closed by its gate, and an application.
type entered struct {
	*testdb.MySQLDB
	gate *gate.MySQL
	app  *sql.DB
	cfg  gate.MySQLConfig
}

// onEachTarget runs a test on MySQL and on MariaDB.
func onEachTarget(t *testing.T, test func(t *testing.T, d *entered)) {
	t.Run("MySQL", func(t *testing.T) { test(t, newEntered(t, testdb.MySQL(t), change.MySQL)) })
	t.Run("MariaDB", func(t *testing.T) { test(t, newEntered(t, testdb.MariaDB(t, "11.8"), change.MariaDB)) })
}

func newEntered(t *testing.T, server *testdb.MySQLServer, engine change.Engine) *entered {
	t.Helper()
	d := &entered{MySQLDB: server.Database(t)}
	d.Exec(t, `CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(60) NOT NULL, n int NOT NULL, UNIQUE (name)); INSERT INTO t VALUES (1, 'a', 1), (2, '', 2);
		CREATE TABLE child (id tinyint AUTO_INCREMENT PRIMARY KEY, parent bigint NOT NULL, FOREIGN KEY (parent) REFERENCES t (id) ON DELETE CASCADE); INSERT INTO child VALUES (1, 1);
		CREATE DATABASE IF NOT EXISTS crossfade;
		CREATE TABLE IF NOT EXISTS crossfade.ledger (migration varchar(64), side varchar(16), lane int, lanes int, token bigint, counter bigint, marker_epoch bigint, PRIMARY KEY (migration, side, lane))`)
	url := d.User(t, "", "app")
	d.app = open(t, url)
	probe := login(t, url)
	d.cfg = gate.MySQLConfig{Engine: engine, Migration: migration(d.Name), Login: login(t, server.URL("")), Probe: &probe, Side: protocol.Target}
	for n, counter := range map[string]string{"t": "id", "child": "id"} {
		d.cfg.Tables = append(d.cfg.Tables, cutover.Table{Source: cutover.Name{Schema: "s", Table: n}, Target: cutover.Name{Schema: d.Name, Table: n}, AutoIncrement: counter, Sequence: counter})
	}
	d.Exec(t, "INSERT INTO crossfade.ledger VALUES ('"+d.cfg.Migration+"', 'target', 0, 2, 5, 1, 0), ('"+d.cfg.Migration+"', 'target', 1, 2, 5, 1, 3)")
	t.Cleanup(func() {
		if _, err := d.DB.ExecContext(context.Background(), "DELETE FROM crossfade.ledger WHERE migration = ?", d.cfg.Migration); err != nil {
			t.Error(err)
		}
	})
	d.gate = openGate(t, d.cfg)
	for range 2 { // the second changes nothing
		if err := errors.Join(d.gate.Setup(t.Context(), false), d.gate.Guard(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestAClosedMySQLTargetTakesRowsOfTheApplierOnlyUntilItIsOpened(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		old := begin(t, d.app, sql.LevelRepeatableRead) // has a snapshot from before the decision
		mustExec(t, old, "SELECT COUNT(*) FROM t")
		for _, q := range []string{"INSERT INTO t VALUES (9, 'x', 1)", "UPDATE t SET n = 0", "DELETE FROM t", "REPLACE INTO t VALUES (1, 'a', 2)", "INSERT INTO t VALUES (1, 'a', 1) ON DUPLICATE KEY UPDATE n = 5", "DELETE FROM child"} {
			if _, err := d.app.Exec(q); err == nil || !strings.Contains(err.Error(), "crossfade: writes are closed here") {
				t.Errorf("%s: %v", q, err)
			}
		}
		d.Exec(t, "UPDATE t SET n = 10 WHERE id = 1") // ours
		p, err := d.gate.Probe(t.Context())
		if err != nil || p.Refused != 2 || len(p.Accepted) > 0 || p.As == "" {
			t.Errorf("probe %+v, %v", p, err)
		}
		if found, err := d.gate.Check(t.Context()); err != nil || has(found, "error", "gate") {
			t.Errorf("%+v, %v", found, err)
		}
		do(t, d.gate, protocol.Open, 3, false)
		do(t, d.gate, protocol.Claim, 3, true)
		do(t, d.gate, protocol.Claim, 3, false)
		do(t, d.gate, protocol.Revoke, 2, false)
		do(t, d.gate, protocol.Revoke, 3, true)
		do(t, d.gate, protocol.Open, 2, false)
		do(t, d.gate, protocol.Open, 3, true)
		do(t, d.gate, protocol.Open, 3, false)
		do(t, d.gate, protocol.Raise, 3, false)
		v, err := d.gate.Read(t.Context())
		if err != nil || !v.Gate.Open || v.Gate.Epoch != 3 || v.Attempt.State != protocol.None {
			t.Errorf("%+v, %v", v, err)
		}
		if _, err := d.app.Exec("INSERT INTO t VALUES (9, 'x', 1)"); err != nil {
			t.Errorf("an open target refuses: %v", err)
		}
		if err := old.Rollback(); err != nil {
			t.Fatal(err)
		}
		var token int
		if err := d.DB.QueryRow("SELECT MIN(token) FROM crossfade.ledger WHERE migration = ?", d.cfg.Migration).Scan(&token); err != nil || token != 7 {
			t.Errorf("the applier's token is %d, %v", token, err)
		}
		if err := d.gate.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := d.DB.QueryRow("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?", d.Name).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d triggers are left, %v", left, err)
		}
	})
}

func TestAMySQLTargetWithoutATriggerIsANoGo(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		var name string
		if err := d.DB.QueryRow("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? LIMIT 1", d.Name).Scan(&name); err != nil {
			t.Fatal(err)
		}
		d.Exec(t, "DROP TRIGGER `"+d.Name+"`.`"+name+"`")
		if found, err := d.gate.Check(t.Context()); err != nil || !has(found, "error", "gate") {
			t.Errorf("%+v, %v", found, err)
		}
		d.Exec(t, "DELETE FROM crossfade.gate WHERE migration = '"+d.cfg.Migration+"'")
		if _, err := d.app.Exec("UPDATE t SET n = 0"); err == nil {
			t.Error("without a gate row the target takes writes")
		}
	})
}

func TestCountersOfMySQLAreOnlyRaisedAndOnlyUnderTheEpoch(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		all, err := d.gate.Generators(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
		of := func(table string) cutover.Sequence {
			for _, q := range all {
				if q.Table == table {
					return q
				}
			}
			t.Fatalf("no counter for %s", table)
			return cutover.Sequence{}
		}
		if q := of("s.t"); q.Now != 2 || q.Max != 1<<63-1 {
			t.Errorf("%+v", q)
		}
		rule, _ := protocol.RuleOf(protocol.Sequences)
		raise := func(table string, epoch int64, last, to uint64) (bool, error) {
			q := of(table)
			q.Last, q.SetTo = last, to
			return d.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: epoch, Sequences: []cutover.Sequence{q}})
		}
		next := func(table string) (n uint64) {
			if all, err = d.gate.Generators(t.Context()); err != nil {
				t.Fatal(err)
			}
			return of(table).Now
		}
		do(t, d.gate, protocol.Claim, 3, true)
		for _, c := range []struct {
			table    string
			epoch    int64
			last, to uint64
			ok       bool
			now      uint64
		}{{"s.t", 2, 900, 900, false, 2}, {"s.t", 3, 500, 1500, true, 1500}, {"s.t", 3, 100, 1100, true, 1500}, {"s.t", 3, 0, 0, true, 1500}, {"s.t", 3, 1500, 1501, true, 1501}, {"s.child", 3, 90, 100, true, 100}, {"s.child", 3, 120, 1120, true, 126}} { // MySQL shows 127 as the next one, MariaDB 128
			ok, err := raise(c.table, c.epoch, c.last, c.to)
			if now := next(c.table); ok != c.ok || err != nil || now != c.now && !(c.now == 126 && now == 127) {
				t.Errorf("%+v: changed %v, %v, last number %d", c, ok, err, now)
			}
		}
		if ok, err := raise("s.child", 3, 128, 128); ok || err == nil {
			t.Errorf("past its end: changed %v, %v", ok, err)
		}
		var rows int
		if err := d.DB.QueryRow("SELECT (SELECT COUNT(*) FROM t) + (SELECT COUNT(*) FROM child)").Scan(&rows); err != nil || rows != 3 {
			t.Errorf("%d rows, %v", rows, err)
		}
		do(t, d.gate, protocol.Open, 3, true)
		r, err := d.app.Exec("INSERT INTO t (name, n) VALUES ('next', 1)")
		if err != nil {
			t.Fatal(err)
		}
		if id, _ := r.LastInsertId(); id != 1502 {
			t.Errorf("the next number is %d", id)
		}
	})
}

func TestTheMySQLTargetsJournalTakesEntriesOnlyWhileItIsOpenUnderTheEpoch(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		e := cutover.Entry{Epoch: 1, Step: "routed", Run: 1, Instance: "i", IntentAt: time.Now()}
		if ok, err := d.gate.Intend(t.Context(), e); ok || err != nil {
			t.Errorf("closed: %v, %v", ok, err)
		}
		do(t, d.gate, protocol.Claim, 1, true)
		do(t, d.gate, protocol.Open, 1, true)
		for _, want := range []bool{true, false} {
			if ok, err := d.gate.Intend(t.Context(), e); ok != want || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
		}
		e.DoneAt, e.Outcome, e.Evidence = time.Now(), cutover.OutcomeDone, []byte(`{"a": 1}`)
		if ok, err := d.gate.Record(t.Context(), 1, []cutover.Entry{e}); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		if ok, err := d.gate.Record(t.Context(), 2, []cutover.Entry{e}); ok || err != nil {
			t.Errorf("another epoch: %v, %v", ok, err)
		}
		all, err := d.gate.Journal(t.Context(), 0)
		if err != nil || len(all) != 1 || all[0].Outcome != cutover.OutcomeDone || all[0].Step != "routed" {
			t.Errorf("%+v, %v", all, err)
		}
		lanes, err := d.gate.Lanes(t.Context())
		if err != nil || len(lanes) != 2 || lanes[1].Marker != 3 {
			t.Errorf("%+v, %v", lanes, err)
		}
		d.Exec(t, "DELETE FROM crossfade.ledger WHERE migration = '"+d.cfg.Migration+"' AND lane = 1")
		if _, err := d.gate.Lanes(t.Context()); err == nil {
			t.Error("a lane without a row is no lane that has drained")
		}
	})
}
