package gate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

var _ cutover.Leaver = (*gate.Postgres)(nil)

// newLeft is a PostgreSQL source with the tables of targetDDL, its gate and an application.
func newLeft(t testing.TB, server *testdb.PostgresServer) *target {
	t.Helper()
	d := &target{PostgresDB: server.Database(t)}
	d.Exec(t, targetDDL)
	d.app = d.Role(t, "", "app", "SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public", "USAGE ON ALL SEQUENCES IN SCHEMA public")
	d.cfg = gate.PostgresConfig{Migration: migration(d.Name), URL: d.URL(), Probe: d.app, Side: protocol.Source}
	for _, n := range []string{"t", "p", "child"} {
		d.cfg.Tables = append(d.cfg.Tables, cutover.Table{Source: cutover.Name{Schema: "public", Table: n}, Target: cutover.Name{Schema: "elsewhere", Table: n}})
	}
	d.cfg.Tables[0].AutoIncrement, d.cfg.Tables[0].Sequence = "id", "id"
	d.gate = openTarget(t, d.cfg)
	for range 2 { // the second changes nothing
		if err := d.gate.Setup(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *target) arm(t testing.TB, epoch int64) {
	t.Helper()
	do(t, d.gate, protocol.Arm, epoch, true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if in, err := d.gate.Install(ctx, epoch); err != nil || in.Tables != 6 || in.Triggers != 6 {
		t.Fatalf("install: %+v, %v", in, err)
	}
	if err := d.gate.Installed(t.Context(), epoch); err != nil {
		t.Fatal(err)
	}
}

// rowsOf is what the application's tables hold.
func (d *target) rowsOf(t testing.TB) (s string) {
	t.Helper()
	d.Get(t, `SELECT concat_ws(E'\n', (SELECT string_agg(t::text, ',' ORDER BY id) FROM t), (SELECT string_agg(p::text, ',' ORDER BY id) FROM p), (SELECT string_agg(c::text, ',') FROM child c))`, &s)
	return s
}

func TestAFencedPostgresSourceRefusesEveryKindOfWriteAlsoOfSuperusersAndReplicas(t *testing.T) {
	for _, major := range []int{15, 18} {
		d := newLeft(t, testdb.Postgres(t, major))
		app, super, replica := connect(t, d.app), connect(t, d.URL()), connect(t, d.URL())
		if _, err := replica.Exec(t.Context(), "SET session_replication_role = replica"); err != nil {
			t.Fatal(err)
		}
		old := connect(t, d.app) // has a snapshot from before the fence
		if _, err := old.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t"); err != nil {
			t.Fatal(err)
		}
		d.arm(t, 1)
		if _, err := app.Exec(t.Context(), "UPDATE t SET n = n + 1"); err != nil {
			t.Errorf("an armed source refuses: %v", err)
		}
		before := d.rowsOf(t)
		do(t, d.gate, protocol.Fence, 1, true)
		if _, err := old.Exec(t.Context(), "UPDATE t SET n = 0 WHERE id = 1"); err == nil {
			t.Error("an older snapshot wrote")
		}
		if _, err := old.Exec(t.Context(), "ROLLBACK"); err != nil { // or a TRUNCATE would wait for it
			t.Fatal(err)
		}
		for _, q := range targetWrites {
			for who, conn := range map[string]*pgx.Conn{"the application": app, "a superuser": super, "a replica": replica} {
				if strings.HasPrefix(q, "DELETE FROM parent") && who == "a replica" {
					continue // nothing cascades for it: the parent is not ours
				}
				if _, err := conn.Exec(t.Context(), q); err == nil || !strings.Contains(err.Error(), "crossfade: writes are closed here") {
					t.Errorf("%d: %s: %s: %v", major, who, q, err)
				}
			}
		}
		if _, err := app.CopyFrom(t.Context(), pgx.Identifier{"t"}, []string{"id", "n"}, pgx.CopyFromRows([][]any{{int64(700), 1}})); err == nil {
			t.Error("COPY was taken")
		}
		if got := d.rowsOf(t); got != before {
			t.Errorf("rows changed from\n%s\nto\n%s", before, got)
		}
		p, err := d.gate.Probe(t.Context())
		if err != nil || p.Refused != 3 || p.Tables != 3 || len(p.Accepted) > 0 {
			t.Errorf("probe: %+v, %v", p, err)
		}
		var markers int
		if d.Get(t, "SELECT count(*)::int FROM crossfade.marker WHERE side = 'source' AND epoch = 1 AND kind = 'fence'", &markers); markers != 1 {
			t.Errorf("%d markers", markers)
		}
		v, err := d.gate.Read(t.Context())
		if err != nil || v.Gate.Open || v.Gate.Epoch != 1 || v.Attempt.State != protocol.Fenced || v.Record.Deadline.IsZero() {
			t.Errorf("%+v, %v", v, err)
		}
		do(t, d.gate, protocol.Quit, 1, true)
		do(t, d.gate, protocol.Reopen, 1, true)
		do(t, d.gate, protocol.End, 1, true)
		for who, conn := range map[string]*pgx.Conn{"the application": app, "a superuser": super, "a replica": replica} {
			if _, err := conn.Exec(t.Context(), "UPDATE t SET n = n + 1"); err != nil {
				t.Errorf("%s after the abort: %v", who, err)
			}
		}
		all, err := d.gate.Attempts(t.Context())
		if err != nil || len(all) != 1 || all[0].State != protocol.Aborted || all[0].Reason != "test" || all[0].FinishedAt.IsZero() {
			t.Errorf("%+v, %v", all, err)
		}
	}
}

// A partition that was made after the triggers is closed with the others, for the fence lists them again behind the lock.
func TestAPartitionMadeAfterArmingIsFencedToo(t *testing.T) {
	d := newLeft(t, testdb.Postgres(t, 15))
	d.arm(t, 1)
	d.Exec(t, "CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30); INSERT INTO p3 VALUES (25, 1)")
	do(t, d.gate, protocol.Fence, 1, true)
	if _, err := connect(t, d.URL()).Exec(t.Context(), "DELETE FROM p3"); err == nil {
		t.Error("the new partition takes writes")
	}
}

// The fence commits only when all who have written have ended, and its marker comes behind their rows.
func TestTheFenceOfPostgresWaitsForWhoHasWritten(t *testing.T) {
	d := newLeft(t, testdb.Postgres(t, 15))
	d.arm(t, 1)
	writer := connect(t, d.app)
	if _, err := writer.Exec(t.Context(), "BEGIN; INSERT INTO t (n) VALUES (42)"); err != nil {
		t.Fatal(err)
	}
	rule, _ := protocol.RuleOf(protocol.Fence)
	call := cutover.Call{Rule: rule, Epoch: 1, Timeout: time.Minute}
	if ok, err := d.gate.Do(t.Context(), call); ok || !isBusy(err) {
		t.Fatalf("while a writer is open: %v, %v", ok, err)
	}
	if _, err := writer.Exec(t.Context(), "UPDATE t SET n = 43 WHERE n = 42"); err != nil {
		t.Errorf("the writer that the fence waited for: %v", err)
	}
	if v, err := d.gate.Read(t.Context()); err != nil || !v.Gate.Open || v.Attempt.State != protocol.Armed {
		t.Errorf("a fence that gave way left %+v, %v", v, err)
	}
	done := make(chan error, 1)
	go func() {
		ok, err := false, error(cutover.ErrBusy)
		for isBusy(err) {
			ok, err = d.gate.Do(t.Context(), call)
		}
		if err == nil && !ok {
			err = fmt.Errorf("refused")
		}
		done <- err
	}()
	if _, err := writer.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var kept, behind bool
	d.Get(t, "SELECT EXISTS (SELECT 1 FROM t WHERE n = 43)", &kept)
	d.Get(t, "SELECT (SELECT xmin::text::bigint FROM t WHERE n = 43) < (SELECT xmin::text::bigint FROM crossfade.marker)", &behind)
	if !kept || !behind {
		t.Errorf("the writer's row is there: %v, before the marker: %v", kept, behind)
	}
}

func TestReopeningPostgresEndsWhoKeepsATable(t *testing.T) {
	d := newLeft(t, testdb.Postgres(t, 15))
	d.arm(t, 1)
	do(t, d.gate, protocol.Fence, 1, true)
	do(t, d.gate, protocol.Quit, 1, true)
	stays := connect(t, d.URL())
	if _, err := stays.Exec(t.Context(), "BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	rule, _ := protocol.RuleOf(protocol.Reopen)
	if ok, err := d.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1}); ok || !isBusy(err) {
		t.Fatalf("while somebody keeps a table: %v, %v", ok, err)
	}
	if n, err := d.gate.Free(t.Context()); n != 1 || err != nil {
		t.Fatalf("freed %d, %v", n, err)
	}
	do(t, d.gate, protocol.Reopen, 1, true)
}

// An autovacuum or the build of an index gives way only to those who wait longer than the fence does: it waits for their end before (S4).
func TestArmingWaitsForWhatTheFenceWouldWaitFor(t *testing.T) {
	d := newLeft(t, testdb.Postgres(t, 15))
	do(t, d.gate, protocol.Arm, 1, true)
	if _, err := d.gate.Install(t.Context(), 1); err != nil { // the triggers stand
		t.Fatal(err)
	}
	work := connect(t, d.URL())
	if _, err := work.Exec(t.Context(), "BEGIN; LOCK TABLE child IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	if found, err := d.gate.Check(t.Context()); err != nil || !has(found, "warning", "busy") {
		t.Errorf("the check says %v, %v", found, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := d.gate.Install(short, 1); err == nil || !strings.Contains(err.Error(), "ShareUpdateExclusiveLock on public.child") {
		t.Errorf("installed beside it: %v", err)
	}
	if _, err := work.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.gate.Install(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func TestPreparedTransactionsAndNumbersOfAPostgresSource(t *testing.T) {
	d := newLeft(t, testdb.NewPostgres(t, 15, "max_prepared_transactions=5"))
	d.Exec(t, "INSERT INTO t (n) VALUES (3), (4); DELETE FROM t WHERE n > 2")
	last, err := d.gate.LastIssued(t.Context())
	if err != nil || last[cutover.Name{Schema: "public", Table: "t"}] != 4 || len(last) != 1 {
		t.Errorf("last issued %v, %v", last, err)
	}
	conn := connect(t, d.URL())
	if _, err := conn.Exec(t.Context(), "BEGIN; UPDATE t SET n = 5; PREPARE TRANSACTION 'later'"); err != nil {
		t.Fatal(err)
	}
	if ids, err := d.gate.PreparedTransactions(t.Context()); err != nil || !slices.Equal(ids, []string{"later"}) {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK PREPARED 'later'"); err != nil {
		t.Fatal(err)
	}
}

func TestASealedPostgresSourceStaysClosedWithoutAnythingElseOfOurs(t *testing.T) {
	d := newLeft(t, testdb.Postgres(t, 15))
	if err := d.gate.Seal(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := d.gate.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left string
	if d.Get(t, "SELECT coalesce(string_agg(relname, ' '), '') FROM pg_class WHERE relnamespace = 'crossfade'::regnamespace AND relkind = 'r' AND relname <> 'ledger'", &left); left != "" {
		t.Errorf("left behind: %s", left)
	}
	app := connect(t, d.app)
	if _, err := app.Exec(t.Context(), "UPDATE t SET n = 0"); err == nil || !strings.Contains(err.Error(), "crossfade: writes are closed here") {
		t.Errorf("sealed: %v", err)
	}
	if err := d.gate.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Exec(t.Context(), "UPDATE t SET n = 0"); err != nil {
		t.Errorf("unsealed: %v", err)
	}
}

func TestADeadlineThatPassedForbidsTheDecisionOnPostgres(t *testing.T) {
	d := newLeft(t, testdb.Postgres(t, 15))
	d.arm(t, 1)
	rule, _ := protocol.RuleOf(protocol.Fence)
	if ok, err := d.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1, Timeout: time.Millisecond}); !ok || err != nil {
		t.Fatalf("fence: %v, %v", ok, err)
	}
	within(t, 5*time.Second, "the deadline", func() bool {
		var passed bool
		d.Get(t, "SELECT deadline < clock_timestamp() FROM crossfade.attempt WHERE epoch = 1", &passed)
		return passed
	})
	do(t, d.gate, protocol.Begin, 1, false)
}
