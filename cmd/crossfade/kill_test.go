package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// audit notes every row change of the target, also those of the applier.
const audit = `
CREATE TABLE audit (n bigserial PRIMARY KEY, tab text, op text, key text, value text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO audit (tab, op, key, value) VALUES (TG_TABLE_NAME, TG_OP, coalesce(NEW.id, OLD.id)::text, CASE TG_TABLE_NAME WHEN 'account' THEN to_jsonb(NEW)->>'balance' END);
	RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON account FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON op FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE account ENABLE ALWAYS TRIGGER note;
ALTER TABLE op ENABLE ALWAYS TRIGGER note;`

func TestKilledAtRandomMomentsEachChangeArrivesOnceAndInOrder(t *testing.T) {
	t.Run("MySQL", func(t *testing.T) { killed(t, testdb.NewMySQL(t), 25, 200_000) })
	t.Run("MariaDB", func(t *testing.T) { killed(t, testdb.NewMariaDB(t, "10.11"), 12, 100_000) })
}

func killed(t *testing.T, source *testdb.MySQLServer, kills, rows int) {
	r := newRig(t, source, testdb.NewPostgres(t, 15), "snapshot: {chunk_rows: 500, parallel: 2}")
	r.seed(rows)
	r.pg.Exec(t, r.must("schema", "--phase", "before"))
	r.pg.Exec(t, audit)
	w := r.startWorkload(4, 3*time.Millisecond)

	if s := os.Getenv("CROSSFADE_TEST_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	phases := map[string]int{}
	for i := range kills {
		r.start()
		switch {
		case i < kills/2: // spread over the copy
			goal := (int64(i*rows) + rnd.Int64N(int64(rows))) / int64(kills/2)
			r.until("copying", time.Minute, func(s control.Status) bool {
				return s.State != "pending" && (s.Snapshot.RowsDone >= goal || phaseOf(s) != "snapshot")
			})
		case i%6 != 0: // every sixth is killed while it starts
			r.until("serving", time.Minute, func(s control.Status) bool { return s.State != "pending" })
			pause(time.Duration(rnd.IntN(900)) * time.Millisecond)
		default:
			pause(time.Duration(rnd.IntN(300)) * time.Millisecond)
		}
		phases[phaseNow(r)]++
		r.kill()
	}
	t.Logf("killed in phases %v", phases)
	if phases["running snapshot"] < kills/5 {
		t.Errorf("only %d kills hit the copy", phases["running snapshot"])
	}
	r.start()
	r.until("strict", 3*time.Minute, func(s control.Status) bool {
		for _, tb := range s.Tables {
			if tb.State != "strict" {
				return false
			}
		}
		return len(s.Tables) > 0
	})
	firstStrict := w.next.Load() + 10 // in flight now
	for range 5 {                     // and again while everything is strict
		pause(time.Duration(200+rnd.IntN(800)) * time.Millisecond)
		r.kill()
		r.start()
	}
	r.waitReady()
	acked := w.stop()
	r.caughtUp("op")
	r.allEqual()
	r.noneLost(acked)

	var twice, unordered int
	r.pg.Get(t, fmt.Sprintf("SELECT count(*)::int FROM (SELECT key FROM audit WHERE tab = 'op' AND key::bigint > %d GROUP BY key HAVING count(*) <> 1 OR min(op) <> 'INSERT') x", firstStrict), &twice)
	if twice > 0 {
		t.Errorf("%d rows of a strict table were written more than once", twice)
	}
	r.pg.Get(t, fmt.Sprintf(`SELECT count(*)::int FROM (SELECT value::numeric v, lag(value::numeric) OVER (PARTITION BY key ORDER BY n) before FROM audit
		WHERE tab = 'account' AND n > (SELECT min(n) FROM audit WHERE tab = 'op' AND key::bigint > %d)) x WHERE before IS NOT NULL AND v <= before`, firstStrict), &unordered)
	if unordered > 0 {
		t.Errorf("%d changes of a strict table arrived twice or out of order", unordered)
	}
	var checked int
	r.pg.Get(t, fmt.Sprintf("SELECT count(*)::int FROM audit WHERE tab = 'op' AND key::bigint > %d", firstStrict), &checked)
	if checked < 100 {
		t.Errorf("only %d changes were looked at", checked)
	}
}

func phaseNow(r *rig) string {
	s, err := control.NewClient(r.socket()).Status(r.t.Context())
	if err != nil {
		return "starting"
	}
	return s.State + " " + phaseOf(s)
}
