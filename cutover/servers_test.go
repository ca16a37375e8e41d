package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// These tests take servers away, or exchange them, in the middle of an attempt.

// crash ends a cutover at a place as if its process had died there.
func (r *rig) crash(at string) {
	r.t.Helper()
	_, err := r.machine(func(name string) error {
		if name == at {
			return cutover.ErrCrash
		}
		return nil
	}).Cutover(r.t.Context())
	if !errors.Is(err, cutover.ErrCrash) {
		r.t.Fatalf("crash at %s: %v", at, err)
	}
}

func (r *rig) closed(what string) {
	r.t.Helper()
	if s, _ := r.sides(); s {
		r.t.Errorf("%s: the source is open", what)
	}
}

// One pair of servers, for what needs servers of its own.
func TestServersThatGoAndServersThatChange(t *testing.T) {
	r := newRig(t, testdb.NewMySQL(t), testdb.NewPostgres(t, 15))
	t.Run("OnlyTheTargetsGateSettlesADecision", r.onlyTheTargetsGate)
	t.Run("UnderTheFenceNothingIsReadInProportionToATable", r.nothingInProportion)
	t.Run("AnotherTargetBeforeTheDecisionAborts", r.anotherTarget)
	t.Run("AnotherSourceBeforeTheDecisionAborts", r.anotherSource)
	t.Run("AFenceLostByAFailoverIsClosedAgain", r.lostFence)
	t.Run("DurabilityIsChecked", r.durability)
}

func (r *rig) onlyTheTargetsGate(t *testing.T) {
	for _, c := range []struct {
		at      string
		decided bool
	}{{"open:before", false}, {"open:after", true}} {
		r.reset()
		r.crash(c.at)
		if err := r.pg.Server.Kill(); err != nil {
			t.Fatal(err)
		}
		// The deadline passes, an operator gives up, another instance starts: the source stays closed, and says why.
		if _, err := r.my.DB.Exec("UPDATE crossfade.attempt SET deadline = NOW(6) - INTERVAL 1 HOUR WHERE migration = 'machine'"); err != nil {
			t.Fatal(err)
		}
		if err := r.machine(nil).Abort(t.Context()); err == nil || !strings.Contains(err.Error(), "ask the target's gate whether cutover 1 was decided") {
			t.Errorf("%s: abort without the target: %v", c.at, err)
		}
		r.closed(c.at + ", after a rollback without the target")
		recovered := make(chan error, 1)
		asked := make(chan struct{}, 1000)
		m := r.machineOver(r.source, asking{r.target, asked}, nil)
		go func() { recovered <- m.Recover(context.Background()) }()
		for range 4 {
			select {
			case <-asked:
			case <-time.After(30 * time.Second):
				t.Fatal("the target is not asked any more")
			}
		}
		select {
		case err := <-recovered:
			t.Errorf("%s: recovered without the target: %v", c.at, err)
		default:
		}
		r.closed(c.at + ", while the target is asked")
		if state, _ := r.state(); state != "DECIDING" {
			t.Errorf("%s: the attempt is %s", c.at, state)
		}
		if err := r.pg.Server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-recovered:
			if err != nil {
				t.Errorf("%s: %v", c.at, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: not settled although the target is back", c.at)
		}
		if c.decided {
			r.moved(c.at)
			continue
		}
		r.onSource(c.at)
		var epoch int64
		if r.pg.Get(t, "SELECT epoch FROM crossfade.gate", &epoch); epoch != 2 {
			t.Errorf("the target's gate has epoch %d: a late decision of cutover 1 would open it", epoch)
		}
	}
}

// asking tells of every question to the target.
type asking struct {
	cutover.Enterer
	asked chan struct{}
}

func (a asking) Read(ctx context.Context) (cutover.View, error) {
	v, err := a.Enterer.Read(ctx)
	a.asked <- struct{}{}
	return v, err
}

// attemptWith runs an attempt and does something at a place; the attempt must abort for a reason.
func (r *rig) attemptWith(t *testing.T, at, reason string, f func()) {
	t.Helper()
	r.reset()
	done := false
	_, err := r.machine(func(name string) error {
		if name == at && !done {
			done = true
			f()
		}
		return nil
	}).Cutover(t.Context())
	if a, ok := aborted(err); !ok || !strings.Contains(a.Reason, reason) || !a.Open {
		t.Errorf("at %s: %v, want an abort because of %q", at, err, reason)
	}
	r.onSource(at)
}

func (r *rig) anotherTarget(t *testing.T) {
	r.onTarget("ALTER SYSTEM SET restore_command = 'false'")
	promote := func() {
		if err := r.pg.Server.Stop(); err != nil {
			t.Error(err)
		}
		// Recovery from an archive that has nothing ends at once, on a new timeline.
		if err := os.WriteFile(filepath.Join(r.pg.Server.DataDir(), "recovery.signal"), nil, 0o644); err != nil {
			t.Error(err)
		}
		if err := r.pg.Server.Start(context.Background()); err != nil {
			t.Error(err)
		}
		r.until("the end of recovery", func() bool {
			v, err := r.target.Read(context.Background())
			return err == nil && !strings.HasSuffix(v.Identity, "standby")
		})
	}
	r.attemptWith(t, "sequences:after", "another server", promote)
	r.attemptWith(t, "open:before", "another server", promote)
}

func (r *rig) anotherSource(t *testing.T) {
	r.attemptWith(t, "begin:before", "another server", func() {
		if err := r.my.Server.Stop(); err != nil {
			t.Error(err)
		}
		if err := os.Remove(filepath.Join(r.my.Server.DataDir(), "auto.cnf")); err != nil {
			t.Error(err)
		}
		if err := r.my.Server.Start(context.Background()); err != nil {
			t.Error(err)
		}
		r.until("the source", func() bool { _, err := r.source.Read(context.Background()); return err == nil })
	})
}

// lostFence: a standby of the source that had not received the fence takes over after the decision.
func (r *rig) lostFence(t *testing.T) {
	r.reset()
	if _, err := r.machine(nil).Cutover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"UPDATE crossfade.gate SET state = 'open', epoch = 0 WHERE migration = 'machine'", "DELETE FROM crossfade.attempt WHERE migration = 'machine' AND epoch > 0",
		"DELETE FROM crossfade.marker WHERE migration = 'machine'", "DELETE FROM crossfade.journal WHERE migration = 'machine'"} {
		if _, err := r.my.DB.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.source.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, d := r.sides(); !s || !d {
		t.Fatalf("source open %v, target open %v: this test is about both", s, d)
	}
	if err := r.machine(nil).Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.moved("closed again")
}

func (r *rig) durability(t *testing.T) {
	r.reset()
	r.my.Exec(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 0")
	g, err := r.machine(nil).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named := func(object, text string) bool {
		for _, f := range g.Warnings {
			if f.Code == "durability" && f.Object == object && strings.Contains(f.Reason, text) {
				return true
			}
		}
		return false
	}
	if !named("source", "innodb_flush_log_at_trx_commit is 2, sync_binlog is 0") || !named("target", "fsync is off") { // servers of tests write without fsync
		t.Errorf("no warning: %+v", g.Warnings)
	}
	r.my.Exec(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 1; SET GLOBAL sync_binlog = 1")
	if g, err = r.machine(nil).Check(t.Context()); err != nil || named("source", "") {
		t.Errorf("a warning without reason: %+v, %v", g.Warnings, err)
	}
}

// harmless statements touch no row of the tables they name, or the one at the end of a unique index.
var harmless = regexp.MustCompile(`(?i)^select coalesce\(least\(greatest\(max\("id"\), 0\), 9223372036854775807\)::bigint, 0\) from "public"\."t"$|limit 0$|where false$|\(\) values \(\)$|^lock table .* in access share mode$`)

// nothingInProportion logs every statement from the fence to the decision: none reads or counts rows of a migrated table.
func (r *rig) nothingInProportion(t *testing.T) {
	r.reset()
	r.my.Exec(t, "SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log")
	r.pg.Exec(t, fmt.Sprintf("ALTER DATABASE %q SET log_statement = 'all'", r.pg.Name))
	if err := r.target.Close(); err != nil { // the next session logs
		t.Fatal(err)
	}
	var from int
	_, err := r.machine(func(name string) error {
		switch name {
		case "fence:before":
			r.my.Exec(t, "SET GLOBAL general_log = 1")
			from = len(r.pg.Server.Log())
		case "open:after":
			r.my.Exec(t, "SET GLOBAL general_log = 0")
		}
		return nil
	}).Cutover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := r.pg.Server.Log()[from:]
	r.pg.Exec(t, fmt.Sprintf("ALTER DATABASE %q RESET log_statement", r.pg.Name))
	var statements []string
	rows, err := r.my.DB.Query("SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type IN ('Query', 'Execute')")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var q string
		if err := rows.Scan(&q); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, q)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	mysql := len(statements)
	for _, l := range strings.Split(log, "\n") {
		if _, q, ok := strings.Cut(l, "LOG:  "); ok && (strings.HasPrefix(q, "statement: ") || strings.HasPrefix(q, "execute ")) {
			_, q, _ = strings.Cut(q, ": ")
			statements = append(statements, q)
		}
	}
	if mysql < 10 || len(statements)-mysql < 10 {
		t.Fatalf("%d statements of the source and %d of the target were logged: %q", mysql, len(statements)-mysql, statements)
	}
	names := regexp.MustCompile("(?i)`" + r.my.Name + "`\\.`t`|\"public\"\\.\"t\"|count\\s*\\(")
	seen := 0
	for _, q := range statements {
		if names.MatchString(q) {
			seen++
			if !harmless.MatchString(q) {
				t.Errorf("under the fence: %s", q)
			}
		}
	}
	if seen < 3 {
		t.Errorf("the statements that touch the tables were not logged: %q", statements)
	}
}
