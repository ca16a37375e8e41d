package gate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestSequencesAreOnlyRaisedAndOnlyUnderTheEpoch(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	all, err := d.gate.Generators(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "public.t_id_seq" || all[0].Now != 2 || all[0].Table != "s.t" {
		t.Fatalf("%+v, %v", all, err)
	}
	raise := func(epoch int64, last, to uint64) (bool, error) {
		rule, _ := protocol.RuleOf(protocol.Sequences)
		s := all[0]
		s.Last, s.SetTo = last, to
		return d.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: epoch, Sequences: []cutover.Sequence{s}})
	}
	next := func() (n int64) {
		d.Get(t, "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM t_id_seq", &n)
		return n
	}
	do(t, d.gate, protocol.Claim, 3, true)
	for _, c := range []struct {
		epoch    int64
		last, to uint64
		ok       bool
		now      int64
	}{{2, 900, 900, false, 2}, {3, 500, 1500, true, 1500}, {3, 100, 1100, true, 1500}, {3, 0, 0, true, 1500}, {3, 1500, 1501, true, 1501}} {
		if ok, err := raise(c.epoch, c.last, c.to); ok != c.ok || err != nil || next() != c.now {
			t.Errorf("%+v: changed %v, %v, last number %d", c, ok, err, next())
		}
	}
	d.Exec(t, "ALTER SEQUENCE t_id_seq MAXVALUE 2000")
	if all, err = d.gate.Generators(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ok, err := raise(3, 1999, 2999); !ok || err != nil || next() != 2000 {
		t.Errorf("with a margin past its end: changed %v, %v, last number %d", ok, err, next())
	}
	if ok, err := raise(3, 2001, 2001); ok || err == nil {
		t.Errorf("past its end: changed %v, %v", ok, err)
	}
}

func TestStatementsOnTheTargetCommitDurablyWhateverTheDefault(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	d.Exec(t, `CREATE TABLE commits (s text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.commits VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
		CREATE TRIGGER note AFTER UPDATE ON crossfade.gate FOR EACH ROW EXECUTE FUNCTION note()`)
	epoch := int64(0)
	for is, want := range map[string]string{"off": "on", "local": "on", "on": "on", "remote_apply": "remote_apply"} {
		d.Exec(t, fmt.Sprintf("ALTER DATABASE %s SET synchronous_commit = %s; DELETE FROM commits", pgx.Identifier{d.Name}.Sanitize(), is))
		epoch++
		do(t, openTarget(t, d.cfg), protocol.Claim, epoch, true) // a new session takes the new default
		var got string
		if d.Get(t, "SELECT s FROM commits", &got); got != want {
			t.Errorf("default %s: committed with %s, want %s", is, got, want)
		}
	}
}

func TestAPromotedServerIsAnotherServer(t *testing.T) {
	d := newTarget(t, testdb.NewPostgres(t, 15))
	id, err := d.gate.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open, _ := protocol.RuleOf(protocol.Open)
	do(t, d.gate, protocol.Claim, 1, true)
	if err := d.Server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if same := identity(t, d.gate); same != id {
		t.Fatalf("a restart made %s of %s", same, id)
	}
	// Recovery from an archive that has nothing ends at once, on a new timeline: as a standby does that is promoted.
	d.Exec(t, "ALTER SYSTEM SET restore_command = 'false'")
	if err := d.Server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Server.DataDir(), "recovery.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "the end of recovery", func() bool {
		var in bool
		d.Get(t, "SELECT pg_is_in_recovery()", &in)
		return !in
	})
	if now := identity(t, d.gate); now == id {
		t.Fatalf("after a promotion the target is still %s", id)
	}
	if ok, err := d.gate.Do(t.Context(), cutover.Call{Rule: open, Epoch: 1, Identity: id}); ok || err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("the decision on another server: changed %v, %v", ok, err)
	}
	if v, err := d.gate.Read(t.Context()); err != nil || v.Gate.Open {
		t.Errorf("%+v, %v", v, err)
	}
}

// identity asks a server; after a restart the first question may meet the old connection.
func identity(t testing.TB, s cutover.Side) (id string) {
	t.Helper()
	within(t, 10*time.Second, "identity", func() (ok bool) {
		var err error
		id, err = s.Identity(t.Context())
		return err == nil
	})
	return id
}

func TestTheTargetIsProbedAsTheApplication(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	probe := func(g *gate.Postgres) cutover.Probe {
		t.Helper()
		p, err := g.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := probe(d.gate); p.As == "" || p.Refused != 3 || len(p.Accepted) != 0 || p.Note != "" {
		t.Errorf("closed: %+v", p)
	}
	ours := d.cfg
	ours.Probe = ""
	g := openTarget(t, ours)
	if p := probe(g); p.As != "" || p.Refused != 3 || p.Note != "not probed as application" {
		t.Errorf("without probe_url: %+v", p)
	}
	if found, err := g.Check(t.Context()); err != nil || !has(found, "warning", "probe") {
		t.Errorf("without probe_url: %+v, %v", found, err)
	}
	nobody := d.cfg
	nobody.Probe = d.Role(t, "", "nobody", "USAGE ON SCHEMA public")
	if p := probe(openTarget(t, nobody)); p.Refused != 0 || p.Denied != 3 || p.Error == "" {
		t.Errorf("as a user without privileges: %+v", p)
	}
	do(t, d.gate, protocol.Claim, 1, true)
	do(t, d.gate, protocol.Open, 1, true)
	if p := probe(d.gate); len(p.Accepted) != 3 || p.Refused != 0 {
		t.Errorf("open: %+v", p)
	}
}

func TestOnlyTheOwnerOfATableCanCloseIt(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	cfg := d.cfg
	cfg.Migration += "x"
	cfg.URL = d.Role(t, "", "mover", "ALL ON DATABASE "+pgx.Identifier{d.Name}.Sanitize(), "ALL ON ALL TABLES IN SCHEMA public", "ALL ON SCHEMA crossfade", "ALL ON ALL TABLES IN SCHEMA crossfade",
		"ALL ON ALL FUNCTIONS IN SCHEMA crossfade")
	if err := openTarget(t, cfg).Guard(t.Context()); err == nil || !strings.Contains(err.Error(), "must own the table") {
		t.Errorf("closed by somebody who does not own it: %v", err)
	}
}

func TestDDLOnTheTargetWaitsWhileTablesAreHeld(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	h, err := d.gate.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ddl := connect(t, d.URL())
	for _, q := range []string{"ALTER TABLE t ADD COLUMN x int", "ALTER TABLE p RENAME TO q", "DROP TABLE child", "TRUNCATE p21"} {
		if _, err := ddl.Exec(t.Context(), "SET lock_timeout = 50; SET session_replication_role = replica; "+q); err == nil || !strings.Contains(err.Error(), "55P03") {
			t.Errorf("%s: %v", q, err)
		}
	}
	if err := h.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	d.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()")
	if err := h.Alive(t.Context()); err == nil {
		t.Error("a hold that was lost is alive")
	}
	h.Release()
	if _, err := ddl.Exec(t.Context(), "ALTER TABLE t ADD COLUMN x int"); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestTheLedgerMustHoldEveryLane(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	d.Exec(t, "UPDATE crossfade.ledger SET marker_epoch = 4 WHERE lane = 1")
	lanes, err := d.gate.Lanes(t.Context())
	if err != nil || len(lanes) != 2 || lanes[0].Marker != 0 || lanes[1].Marker != 4 {
		t.Errorf("%+v, %v", lanes, err)
	}
	d.Exec(t, "DELETE FROM crossfade.ledger WHERE lane = 0")
	if lanes, err := d.gate.Lanes(t.Context()); err == nil {
		t.Errorf("a lane is missing: %+v", lanes)
	}
	d.Exec(t, "DELETE FROM crossfade.ledger")
	if lanes, err := d.gate.Lanes(t.Context()); err == nil {
		t.Errorf("all lanes are missing: %+v", lanes)
	}
}

func TestTheTargetsJournalTakesEntriesOnlyWhileItIsOpenUnderTheEpoch(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	e := cutover.Entry{Epoch: 1, Step: "switch:a", Run: 1, Instance: "one", IntentAt: time.Now()}
	intend := func(e cutover.Entry, want bool) {
		t.Helper()
		if won, err := d.gate.Intend(t.Context(), e); won != want || err != nil {
			t.Errorf("intent of %s: won %v, %v", e.Instance, won, err)
		}
	}
	intend(e, false) // closed
	do(t, d.gate, protocol.Claim, 1, true)
	intend(e, false)
	do(t, d.gate, protocol.Open, 1, true)
	intend(e, true)
	e.Instance = "two"
	intend(e, false) // one instance wins
	e.DoneAt, e.Outcome, e.Evidence = time.Now(), cutover.OutcomeFailed, []byte(`{"error":"first"}`)
	if ok, err := d.gate.Record(t.Context(), 1, []cutover.Entry{e}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	e.Outcome, e.Evidence = cutover.OutcomeDone, []byte(`{"error":"late"}`)
	if ok, err := d.gate.Record(t.Context(), 1, []cutover.Entry{e}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	j, err := d.gate.Journal(t.Context(), 0)
	if err != nil || len(j) != 1 || j[0].Instance != "one" || j[0].Outcome != cutover.OutcomeFailed || !strings.Contains(string(j[0].Evidence), "first") {
		t.Errorf("what is done stays done: %+v, %v", j, err)
	}
	if ok, err := d.gate.Record(t.Context(), 2, []cutover.Entry{e}); ok || err != nil {
		t.Errorf("under another epoch: %v, %v", ok, err)
	}
}
