package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// Somebody spoils the target, past its gate, while the application writes to the source: no cutover is let in, what is wrong is named by its key and column, and mended it is let in.
func TestWhatIsSpoiltOnTheTargetIsNamedAndIsANoGo(t *testing.T) {
	source, target := endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18))
	seedTraffic(t, source, 300)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	held := filepath.Join(r.dir, "held")
	r.env = append(r.env, "CROSSFADE_HOLDPOINT=verify:before="+held)
	w := startTraffic(t, source, source.open(source.user()), 2, 5*time.Millisecond)
	r.start()
	const past = "SET session_replication_role = replica; "
	spoil(t, r, target, []planted{
		{"a row altered", past + "UPDATE account SET owner = 'planted' WHERE id = 7", "", "id=7", "owner"},
		{"a row deleted", past + "DELETE FROM account WHERE id = 8", "", "id=8", "missing"},
		{"a row added", past + "INSERT INTO account VALUES (900000, 'planted', 0, NULL)", "", "id=900000", "extra"},
		{"a column truncated by a trigger", "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.owner := left(NEW.owner, 3); RETURN NEW; END'; " +
			"CREATE TRIGGER cut BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION cut(); ALTER TABLE account ENABLE ALWAYS TRIGGER cut", "DROP TRIGGER cut ON account", "id=", "owner"},
	})
	t.Run("a sequence set back", func(t *testing.T) {
		r.t = t
		r.waitReady()
		done := make(chan outcomeOf, 1)
		go func() {
			exit, out, errs := r.crossfade("cutover")
			done <- outcomeOf{exit, out + errs}
		}()
		for end := time.Now().Add(time.Minute); ; pause(2 * time.Millisecond) {
			if _, err := os.Stat(held); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the cutover never came to the verification")
			}
		}
		execOn(t, target, "SELECT setval('handle_id_seq', 1)") // it was raised just before
		if err := os.Remove(held); err != nil {
			t.Fatal(err)
		}
		if o := <-done; o.exit != 5 || !strings.Contains(o.text, "handle_id_seq stands at 1") {
			t.Errorf("cutover: exit %d\n%s", o.exit, o.text)
		}
	})
	r.t = t
	r.waitReady()
	r.must("cutover")
	acked := w.stop()
	sameRows(t, source, target)
	holds(t, target, acked)
}

// The same on a MySQL target, by our own user: triggers stop everybody else. A trigger made while the migration runs fires for the applier too.
func TestWhatIsSpoiltOnAMySQLTargetIsNamedAndIsANoGo(t *testing.T) {
	source, target := endOnPostgres(t, testdb.Postgres(t, 18)), endOnMySQL(t, testdb.MySQL(t))
	seedTraffic(t, source, 300)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	w := startTraffic(t, source, source.open(source.user()), 2, 5*time.Millisecond)
	r.start()
	spoil(t, r, target, []planted{
		{"a row altered", "UPDATE account SET owner = 'planted' WHERE id = 7", "", "id=7", "owner"},
		{"a row deleted", "DELETE FROM account WHERE id = 8", "", "id=8", "missing"},
		{"a row added", "INSERT INTO account VALUES (900000, 'planted', 0, NULL)", "", "id=900000", "extra"},
		{"a column truncated by a trigger", "CREATE TRIGGER cut BEFORE UPDATE ON account FOR EACH ROW SET NEW.owner = LEFT(NEW.owner, 3)", "DROP TRIGGER cut", "id=", "owner"},
	})
	r.waitReady()
	r.must("cutover")
	acked := w.stop()
	sameRows(t, source, target)
	holds(t, target, acked)
}

// A sequence of the source that was set back, so that numbers of rows would be issued again, is a no-go that names it and the key. One of the target is raised whatever it stands at.
func TestASequenceThatWasSetBackIsANoGo(t *testing.T) {
	source, target := endOnPostgres(t, testdb.Postgres(t, 18)), endOnPostgres(t, testdb.Postgres(t, 18))
	seedTraffic(t, source, 300)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	r.start()
	for _, back := range []string{"SELECT setval('handle_id_seq', 17)", "ALTER SEQUENCE handle_id_seq RESTART"} {
		r.waitReady()
		execOn(t, source, back)
		exit, out, errs := r.crossfade("cutover")
		if text := out + errs; exit != 3 || !strings.Contains(text, "public.handle has key 200") || !strings.Contains(text, "public.handle_id_seq would issue numbers again") {
			t.Errorf("%s: exit %d\n%s", back, exit, text)
		}
		if s := r.status(); s.Cutover.Epoch != 0 {
			t.Errorf("%s: attempt %d was begun", back, s.Cutover.Epoch)
		}
	}
	execOn(t, source, "SELECT setval('handle_id_seq', 200)")
	execOn(t, target, "SELECT setval('handle_id_seq', 1)")
	r.must("cutover")
	db := target.open(target.url)
	defer db.Close()
	var next int64
	if err := db.QueryRowContext(t.Context(), "SELECT nextval('handle_id_seq')").Scan(&next); err != nil || next <= 200 {
		t.Errorf("the next number on the target is %d, %v", next, err)
	}
}

// planted is a fault on the target, what undoes its cause, and what has to be said of it.
type planted struct{ name, plant, mend, key, column string }

// spoil plants faults one after another. Each is found and named, nothing is begun, and it can be repaired.
func spoil(t *testing.T, r *rig, target *end, faults []planted) {
	defer func() { r.t = t }()
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			r.t = t
			r.waitReady()
			execOn(t, target, fault.plant)
			r.until("found", time.Minute, func(s control.Status) bool { return s.Verify.Differences > 0 })
			exit, out, errs := r.crossfade("cutover")
			if exit != 3 || !strings.Contains(out+errs, fault.key) || !strings.Contains(out+errs, fault.column) || !strings.Contains(out+errs, "account") {
				t.Errorf("cutover: exit %d\n%s%s", exit, out, errs)
			}
			if s := r.status(); s.Cutover.Epoch != 0 {
				t.Errorf("attempt %d was begun", s.Cutover.Epoch)
			}
			if fault.mend != "" {
				execOn(t, target, fault.mend)
			}
			r.must("verify", "--repair")
		})
	}
}
