package main

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestAHeldTableIsShownRefusesTheCutoverAndIsReplayed(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.my.Exec(t, "CREATE TABLE other (id INT PRIMARY KEY)")
	r.start()
	r.waitReady()
	r.pg.Exec(t, "ALTER TABLE users ADD CONSTRAINT short CHECK (length(name) < 5)")
	r.my.Exec(t, "INSERT INTO users VALUES (3, 'cecilia'), (4, 'dan')")
	r.my.Exec(t, "INSERT INTO other VALUES (1)")
	s := r.until("held", time.Minute, func(s control.Status) bool { return len(s.Held) > 0 })
	h := s.Held[0]
	if h.Table != r.my.Name+".users" || h.Key != "(id=3)" || !strings.Contains(h.Reason, "short") || h.Remedy == "" {
		t.Errorf("held: %+v", h)
	}
	says(t, "status", r.must("status"), "held      "+r.my.Name+".users at (id=3)")
	r.caughtUp("other") // the others go on
	exit, out, errs := r.crossfade("cutover", "--dry-run")
	if exit != 3 {
		t.Errorf("exit %d, want 3", exit)
	}
	says(t, "the go/no-go", out+errs, "(id=3)", r.my.Name+".users")
	if exit, _, errs := r.crossfade("resume", "--table", r.my.Name+".other"); exit != 3 || !strings.Contains(errs, "is not held") {
		t.Errorf("exit %d, want 3: %s", exit, errs)
	}
	r.stop()
	says(t, "status without the daemon", r.must("status"), "held      "+r.my.Name+".users at (id=3)")
	r.start()
	r.until("still held", time.Minute, func(s control.Status) bool { return len(s.Held) > 0 })
	r.pg.Exec(t, "ALTER TABLE users DROP CONSTRAINT short")
	r.must("resume", "--table", r.my.Name+".users")
	r.until("replayed", time.Minute, func(s control.Status) bool { return len(s.Held) == 0 })
	r.caughtUp("users")
	r.equal("users", "SELECT id, name FROM users ORDER BY id", "SELECT id, name FROM users ORDER BY id")
}

func TestAnAddressThatIsTakenEndsRunWithTheRemedy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := smallRig(t, testdb.MySQL(t), "")
	r.env = []string{"CROSSFADE_API_LISTEN=" + l.Addr().String()}
	exit, _, errs := r.crossfade("run")
	if exit != 1 {
		t.Errorf("exit %d, want 1", exit)
	}
	says(t, "run", errs, "api.listen "+l.Addr().String(), "choose another address")
}

func TestAnIndexThatCannotBeBuiltStopsWithTheStatementAndIsTriedAgain(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.my.Exec(t, "CREATE TABLE long_text (id INT PRIMARY KEY, v VARCHAR(3000) CHARACTER SET latin1, KEY v (v))")
	var b strings.Builder // what does not compress does not fit into a page of PostgreSQL's index
	rnd := rand.New(rand.NewPCG(1, 2))
	for b.Len() < 3000 {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rnd.IntN(64)])
	}
	r.my.Exec(t, "INSERT INTO long_text VALUES (1, ?), (2, 'short')", b.String())
	r.start()
	s := r.until("stopped", time.Minute, func(s control.Status) bool { return s.State == "failed" })
	says(t, "status", *s.Error, "index", "long_text_v", "CREATE INDEX", "maximum")
	r.my.Exec(t, "DELETE FROM long_text WHERE id = 1")
	r.until("deleted", time.Minute, func(s control.Status) bool { return s.Tables[0].Deleted == 1 })
	r.must("resume")
	r.until("ready", time.Minute, func(s control.Status) bool { return phaseOf(s) == "ready" && s.Error == nil })
	var built bool
	r.pg.Get(t, "SELECT to_regclass('long_text_v') IS NOT NULL", &built)
	if !built {
		t.Error("ready without the index")
	}
}
