package gate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

func isBusy(err error) bool { return errors.Is(err, cutover.ErrBusy) }

const one = "CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, n int NOT NULL)"

func TestAClosedGateRefusesEveryKindOfWriteAndSaysSo(t *testing.T) {
	s := newSource(t, server(t), one+"; INSERT INTO t (n) VALUES (1), (2)", "t")
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	writes := []string{"INSERT INTO t (n) VALUES (3)", "UPDATE t SET n = n + 1 WHERE id = 1", "DELETE FROM t WHERE id = 2", "REPLACE INTO t VALUES (1, 9)",
		"INSERT INTO t VALUES (1, 1) ON DUPLICATE KEY UPDATE n = 5", "INSERT INTO t (n) SELECT n FROM t AS x"}
	for _, w := range writes {
		tx, err := s.app.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(w); err != nil {
			t.Errorf("gate open: %s: %v", w, err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	do(t, s.gate, protocol.Fence, 1, true)
	for _, w := range writes {
		if _, err := s.app.Exec(w); err == nil || !strings.Contains(err.Error(), "crossfade: writes are closed here") {
			t.Errorf("gate closed: %s: %v", w, err)
		}
	}
	if _, err := s.DB.Exec("UPDATE t SET n = 77 WHERE id = 1"); err != nil {
		t.Errorf("our own user was refused: %v", err)
	}
}

// fenced arms, installs and fences epoch 1.
func fenced(t *testing.T, s *source) {
	t.Helper()
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	do(t, s.gate, protocol.Fence, 1, true)
}

func mustExec(t *testing.T, q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, text string) {
	t.Helper()
	if _, err := q.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func begin(t *testing.T, db *sql.DB, isolation sql.IsolationLevel) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: isolation})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() }) // it may have ended or been killed
	return tx
}

// waiting polls until a statement that contains the text waits for a lock.
func waiting(t *testing.T, s *source, text string) {
	t.Helper()
	within(t, 10*time.Second, "wait for a lock: "+text, func() bool {
		query := `SELECT COUNT(*) FROM performance_schema.threads t LEFT JOIN performance_schema.data_lock_waits w ON w.REQUESTING_THREAD_ID = t.THREAD_ID
			WHERE t.PROCESSLIST_ID <> CONNECTION_ID() AND t.PROCESSLIST_INFO LIKE ? AND (w.REQUESTING_THREAD_ID IS NOT NULL OR t.PROCESSLIST_STATE LIKE 'Waiting for%')`
		if mariadb != "" {
			<-time.After(150 * time.Millisecond) // INNODB_TRX is made anew only when nobody has read it for 100 ms
			query = `SELECT COUNT(*) FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = p.ID
				WHERE p.ID <> CONNECTION_ID() AND p.INFO LIKE ? AND (x.trx_state = 'LOCK WAIT' OR p.STATE LIKE 'Waiting for%')`
		}
		var n int
		if err := s.DB.QueryRow(query, "%"+text+"%").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	})
}

func TestTheFenceWaitsForWhoHasWritten(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	writer := begin(t, s.app, sql.LevelDefault)
	mustExec(t, writer, "INSERT INTO t (n) VALUES (1)")
	rule, _ := protocol.RuleOf(protocol.Fence)
	changed, err := s.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1, Timeout: time.Minute})
	if changed || !isBusy(err) {
		t.Fatalf("fence beside an open transaction that has written: changed %v, error %v", changed, err)
	}
	v, err := s.gate.Read(t.Context())
	if err != nil || !v.Gate.Open || v.Attempt.State != protocol.Armed {
		t.Fatalf("after a fence that was not granted: %+v, %v", v, err)
	}
	if err := writer.Commit(); err != nil {
		t.Fatal(err)
	}
	do(t, s.gate, protocol.Fence, 1, true)
}

// The cycle that clients make which lock a row and then write it (S1): A has written and wants B's row, B wants to write, the fence stands
// between. InnoDB ends the fence; nothing has changed by it, and it is sent again.
func TestTheFenceIsSentAgainAfterADeadlock(t *testing.T) {
	s := newSource(t, server(t), one+"; CREATE TABLE free (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0); INSERT INTO free VALUES (1, 0), (2, 0), (3, 0), (4, 0)", "t")
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	a, b := begin(t, s.app, sql.LevelDefault), begin(t, s.app, sql.LevelDefault)
	mustExec(t, b, "UPDATE free SET n = n + 1")
	mustExec(t, b, "SELECT * FROM t WHERE id = 1 FOR UPDATE")
	mustExec(t, a, "UPDATE t SET n = 1 WHERE id = 2")
	rule, _ := protocol.RuleOf(protocol.Fence)
	result := make(chan error, 1)
	go func() {
		_, err := s.gate.Do(context.Background(), cutover.Call{Rule: rule, Epoch: 1, Timeout: time.Minute})
		result <- err
	}()
	waiting(t, s, "crossfade.gate")
	clients := make(chan error, 2)
	go func() { _, err := a.Exec("UPDATE t SET n = 2 WHERE id = 1"); clients <- err }()
	waiting(t, s, "SET n = 2")
	go func() {
		_, err := b.Exec("UPDATE t SET n = 3 WHERE id = 1")
		clients <- errors.Join(err, b.Commit())
	}()
	if err := <-result; !isBusy(err) || !strings.Contains(err.Error(), "1213") {
		t.Fatalf("the fence was not the victim of the deadlock: %v", err)
	}
	for range 2 {
		if err := <-clients; err != nil {
			t.Errorf("a client lost by it: %v", err)
		}
	}
	if err := a.Commit(); err != nil {
		t.Error(err)
	}
	do(t, s.gate, protocol.Fence, 1, true)
}

func TestWhoIsRefusedAtOnceDoesNotKeepTheGate(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	fenced(t, s)
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead} {
		tx := begin(t, s.app, level)
		if _, err := tx.Exec("INSERT INTO t (n) VALUES (1)"); err == nil {
			t.Fatal("written")
		}
	}
	do(t, s.gate, protocol.Quit, 1, true)
	rule, _ := protocol.RuleOf(protocol.Reopen)
	if ok, err := s.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1}); !ok || err != nil {
		t.Fatalf("reopening beside refused clients in open transactions: %v, %v", ok, err)
	}
}

func TestReopeningEndsWhoKeepsTheGate(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	// A snapshot from before the fence still says open; the locking read then refuses, and keeps the row.
	idle := begin(t, s.app, sql.LevelRepeatableRead)
	var n int
	if err := idle.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	do(t, s.gate, protocol.Fence, 1, true)
	if _, err := idle.Exec("INSERT INTO t (n) VALUES (1)"); err == nil || !strings.Contains(err.Error(), "crossfade:") {
		t.Fatalf("a transaction with an older snapshot wrote: %v", err)
	}
	do(t, s.gate, protocol.Quit, 1, true)
	rule, _ := protocol.RuleOf(protocol.Reopen)
	if ok, err := s.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1}); ok || !isBusy(err) {
		t.Fatalf("reopening was expected to meet the lock: %v, %v", ok, err)
	}
	if ended, err := s.gate.Free(t.Context()); err != nil || ended != 1 {
		t.Fatalf("freed %d, %v", ended, err)
	}
	do(t, s.gate, protocol.Reopen, 1, true)
	mustExec(t, s.app, "INSERT INTO t (n) VALUES (2)")
}

func TestLockTablesDoesNotKeepTheSourceClosed(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	fenced(t, s)
	do(t, s.gate, protocol.Quit, 1, true)
	conn, err := s.app.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustExec(t, conn, "LOCK TABLES t WRITE")
	rule, _ := protocol.RuleOf(protocol.Reopen)
	ended := 0
	within(t, 10*time.Second, "reopen", func() bool {
		ok, err := s.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1})
		if isBusy(err) {
			n, err := s.gate.Free(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ended += n
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})
	t.Logf("ended %d connections", ended)
}

func TestAPreparedTransactionIsSeenEvenAfterARestartThatFreedItsLocks(t *testing.T) {
	on := ownServer(t)
	s := newSource(t, on, one, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	conn, err := s.app.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, conn, "XA START 'x1'")
	mustExec(t, conn, "INSERT INTO t (n) VALUES (1)")
	mustExec(t, conn, "XA END 'x1'")
	mustExec(t, conn, "XA PREPARE 'x1'")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := on.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := on.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "connect again", func() bool { _, err := s.gate.Read(t.Context()); return err == nil })
	do(t, s.gate, protocol.Fence, 1, true) // nothing stops it
	ids, err := s.gate.PreparedTransactions(t.Context())
	if err != nil || len(ids) != 1 {
		t.Fatalf("prepared transactions %v, %v; want x1", ids, err)
	}
	mustExec(t, s.DB, "XA ROLLBACK 'x1'")
	if ids, err = s.gate.PreparedTransactions(t.Context()); err != nil || len(ids) != 0 {
		t.Fatalf("prepared transactions %v, %v; want none", ids, err)
	}
}

func TestDDLWaitsWhileTablesAreHeld(t *testing.T) {
	s := newSource(t, server(t), one+"; INSERT INTO t (n) VALUES (1)", "t")
	fenced(t, s)
	h, err := s.gate.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.app.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustExec(t, conn, "SET lock_wait_timeout = 1")
	for _, ddl := range []string{"TRUNCATE t", "ALTER TABLE t ADD COLUMN x int", "RENAME TABLE t TO t2", "DROP TABLE t"} {
		if _, err := conn.ExecContext(t.Context(), ddl); err == nil || !strings.Contains(err.Error(), "1205") {
			t.Errorf("%s did not wait: %v", ddl, err)
		}
	}
	if err := h.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Release()
	if _, err := conn.ExecContext(t.Context(), "TRUNCATE t"); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestALostHoldIsNoticed(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	h, err := s.gate.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if err := h.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	var id int64
	query := `SELECT t.PROCESSLIST_ID FROM performance_schema.metadata_locks m JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
		WHERE m.OBJECT_SCHEMA = ? AND m.OBJECT_NAME = 't' AND m.LOCK_STATUS = 'GRANTED'`
	if mariadb != "" { // which does not tell: all of the gate's, which select no database
		query = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB IS NULL AND USER = SUBSTRING_INDEX(USER(), '@', 1) AND ? <> ''"
	}
	rows, err := s.DB.Query(query, s.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	killed := 0
	for ; rows.Next(); killed++ {
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		var e *mysql.MySQLError
		if _, err := s.DB.Exec(fmt.Sprintf("KILL %d", id)); err != nil && !(errors.As(err, &e) && e.Number == 1094) { // it has ended by itself
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil || killed == 0 {
		t.Fatalf("%d connections found, %v", killed, err)
	}
	if err := h.Alive(t.Context()); err == nil {
		t.Fatal("the connection was killed, and nobody noticed")
	}
}

func TestTablesThatCascadeIntoAMigratedOneAreGatedForWhatCascades(t *testing.T) {
	s := newSource(t, server(t), `CREATE TABLE top (id int PRIMARY KEY);
		CREATE TABLE middle (id int PRIMARY KEY, top int, FOREIGN KEY (top) REFERENCES top(id) ON DELETE CASCADE);
		CREATE TABLE other (id int PRIMARY KEY);
		CREATE TABLE t (id int PRIMARY KEY, mid int, other int, FOREIGN KEY (mid) REFERENCES middle(id) ON DELETE CASCADE, FOREIGN KEY (other) REFERENCES other(id));
		INSERT INTO top VALUES (1); INSERT INTO middle VALUES (1, 1); INSERT INTO other VALUES (1), (2); INSERT INTO t VALUES (1, 1, 1)`, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	in, err := s.gate.Install(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Parents) != 2 || in.Triggers != 5 {
		t.Errorf("installed %+v; want the two parents that cascade, 3 + 1 + 1 triggers", in)
	}
	do(t, s.gate, protocol.Fence, 1, true)
	for _, w := range []string{"DELETE FROM middle WHERE id = 1", "DELETE FROM top WHERE id = 1", "DELETE FROM t"} {
		if _, err := s.app.Exec(w); err == nil || !strings.Contains(err.Error(), "crossfade:") {
			t.Errorf("%s: %v", w, err)
		}
	}
	for _, w := range []string{"INSERT INTO top VALUES (2)", "INSERT INTO other VALUES (3)", "DELETE FROM other WHERE id = 2"} {
		if _, err := s.app.Exec(w); err != nil {
			t.Errorf("what changes no migrated row was refused: %s: %v", w, err)
		}
	}
}

func TestTheGateStandsBesideTheApplicationsTriggers(t *testing.T) {
	s := newSource(t, server(t), one+`;
		CREATE TRIGGER app_bi BEFORE INSERT ON t FOR EACH ROW SET @app_ran = NEW.n;
		CREATE TRIGGER app_bi2 BEFORE INSERT ON t FOR EACH ROW FOLLOWS app_bi SET NEW.n = NEW.n + 1`, "t")
	fenced(t, s)
	tx := begin(t, s.app, sql.LevelDefault)
	if _, err := tx.Exec("INSERT INTO t (n) VALUES (1)"); err == nil {
		t.Fatal("written")
	}
	var ran sql.NullInt64
	if err := tx.QueryRow("SELECT @app_ran").Scan(&ran); err != nil || ran.Valid {
		t.Errorf("the application's trigger ran before the gate: %v, %v", ran, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	var n int
	do(t, s.gate, protocol.Quit, 1, true)
	do(t, s.gate, protocol.Reopen, 1, true)
	if err := s.gate.Uninstall(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	do(t, s.gate, protocol.End, 1, true)
	if err := s.DB.QueryRow("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?", s.Name).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d triggers are left, %v; want the application's two", n, err)
	}
	mustExec(t, s.app, "INSERT INTO t (n) VALUES (1)")
}

func TestRemovingOldTriggersLateLeavesThoseOfTheNextAttempt(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	do(t, s.gate, protocol.Quit, 1, true)
	do(t, s.gate, protocol.Reopen, 1, true)
	do(t, s.gate, protocol.End, 1, true)
	do(t, s.gate, protocol.Arm, 2, true)
	if _, err := s.gate.Install(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := s.gate.Uninstall(t.Context(), 1); err != nil { // the late one
		t.Fatal(err)
	}
	if err := s.gate.Installed(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := s.gate.Installed(t.Context(), 1); err == nil {
		t.Fatal("the triggers of attempt 1 still stand")
	}
}

func TestInstallingWaitsForOpenTransactionsInSmallPieces(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	reader := begin(t, s.app, sql.LevelDefault)
	mustExec(t, reader, "SELECT * FROM t")
	type result struct {
		in  cutover.Installed
		err error
	}
	installed := make(chan result, 1)
	go func() {
		in, err := s.gate.Install(context.Background(), 1)
		installed <- result{in, err}
	}()
	waiting(t, s, "CREATE TRIGGER")
	start := time.Now()
	mustExec(t, s.app, "INSERT INTO t (n) VALUES (1)") // queues behind the trigger's lock, for at most its timeout
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("a client waited %v", took)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if r := <-installed; r.err != nil || r.in.Retries == 0 {
		t.Fatalf("installed %+v, %v", r.in, r.err)
	}
}

func TestTheProbeWritesAsTheApplication(t *testing.T) {
	on := server(t)
	s := newSource(t, on, one+"; CREATE TABLE u (id int PRIMARY KEY, v varchar(9) NOT NULL, g int GENERATED ALWAYS AS (id + 1) STORED)", "t", "u")
	p, err := s.gate.Probe(t.Context())
	if err != nil || len(p.Accepted) != 2 || p.As == "" {
		t.Fatalf("open gate: %+v, %v", p, err)
	}
	var n int
	if err := s.DB.QueryRow("SELECT (SELECT COUNT(*) FROM t) + (SELECT COUNT(*) FROM u)").Scan(&n); err != nil || n != 0 {
		t.Fatalf("the probe left %d rows, %v", n, err)
	}
	fenced(t, s)
	if p, err = s.gate.Probe(t.Context()); err != nil || p.Refused != 2 || len(p.Accepted) != 0 {
		t.Fatalf("closed gate: %+v, %v", p, err)
	}
	cfg := gate.MySQLConfig{Engine: engine(), Migration: migration(s.Name), Login: login(t, on.URL("")), Tables: []cutover.Table{{Source: cutover.Name{Schema: s.Name, Table: "t"}}}}
	own := openGate(t, cfg)
	if p, err = own.Probe(t.Context()); err != nil || p.Refused != 1 || p.Note != "not probed as application" {
		t.Fatalf("closed gate, as ourselves: %+v, %v", p, err)
	}
	reader := login(t, s.User(t, "", "r", "SELECT"))
	cfg.Probe = &reader
	other := openGate(t, cfg)
	if p, err = other.Probe(t.Context()); err != nil || p.Refused != 0 || p.Denied != 1 || p.Error == "" {
		t.Fatalf("a user that may not write: %+v, %v", p, err)
	}
	found, err := other.Check(t.Context())
	if err != nil || !has(found, "error", "probe") {
		t.Errorf("a probe user that may not write was not found: %v, %v", found, err)
	}
	if found, err = s.gate.Check(t.Context()); err != nil || has(found, "error", "") {
		t.Errorf("a source that is fine: %v, %v", found, err)
	}
}

func has(all []cutover.Finding, severity, code string) bool {
	for _, f := range all {
		if f.Severity == severity && (code == "" || f.Code == code) {
			return true
		}
	}
	return false
}

func TestAnotherServerExecutesNothing(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	rule, _ := protocol.RuleOf(protocol.Arm)
	ok, err := s.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1, Identity: "11111111-2222-3333-4444-555555555555"})
	if ok || err == nil || !strings.Contains(err.Error(), "another server") {
		t.Fatalf("changed %v, %v", ok, err)
	}
	id, err := s.gate.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := s.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1, Identity: id}); !ok || err != nil {
		t.Fatalf("changed %v, %v", ok, err)
	}
}

func TestASealedSourceStaysClosedWithoutAnythingOfOurs(t *testing.T) {
	on := ownServer(t)
	s := newSource(t, on, one, "t")
	fenced(t, s)
	do(t, s.gate, protocol.Begin, 1, true)
	do(t, s.gate, protocol.Decide, 1, true)
	if err := s.gate.Remove(t.Context()); err == nil {
		t.Fatal("the gate was removed under triggers that read it")
	}
	for range 2 {
		if err := s.gate.Seal(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.gate.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, s.DB, "DROP DATABASE crossfade")
	for _, db := range []*sql.DB{s.app, s.DB} {
		if _, err := db.Exec("INSERT INTO t (n) VALUES (1)"); err == nil || !strings.Contains(err.Error(), "crossfade:") {
			t.Fatalf("sealed: %v", err)
		}
	}
	if err := s.gate.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, s.app, "INSERT INTO t (n) VALUES (1)")
}

func TestTheLastNumberIssuedIsReadNotTheLargestKept(t *testing.T) {
	s := newSource(t, server(t), one+"; INSERT INTO t (n) VALUES (1), (2), (3); DELETE FROM t WHERE id = 3", "t")
	got, err := s.gate.LastIssued(t.Context())
	if err != nil || got[cutover.Name{Schema: s.Name, Table: "t"}] != 3 {
		t.Fatalf("last issued %v, %v; want 3", got, err)
	}
}

func TestADeadlineThatPassedForbidsTheDecision(t *testing.T) {
	s := newSource(t, server(t), one, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	fence, _ := protocol.RuleOf(protocol.Fence)
	if ok, err := s.gate.Do(t.Context(), cutover.Call{Rule: fence, Epoch: 1, Timeout: time.Millisecond}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	within(t, 5*time.Second, "deadline", func() bool {
		var late bool
		if err := s.DB.QueryRow("SELECT deadline < UTC_TIMESTAMP(6) FROM crossfade.attempt WHERE migration = ? AND epoch = 1", migration(s.Name)).Scan(&late); err != nil {
			t.Fatal(err)
		}
		return late
	})
	do(t, s.gate, protocol.Begin, 1, false)
	do(t, s.gate, protocol.Quit, 1, true)
	do(t, s.gate, protocol.Begin, 1, false)
}
