package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// edges runs a cutover and lists the places where it could have died.
func (r *rig) edges(prepare func()) (names []string) {
	r.t.Helper()
	prepare()
	_, _ = r.machine(func(name string) error { names = append(names, name); return nil }).Cutover(r.t.Context())
	r.reset()
	return names
}

func TestACutoverMovesWritesOnce(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	rep, err := r.machine(nil).Cutover(t.Context())
	if err != nil || rep.Verdict != cutover.VerdictCompleted || len(rep.Tables) != 1 || len(rep.Sequences) != 1 || len(rep.Sequences[0].SetTo) < 2 {
		t.Fatalf("%+v, %v", rep, err)
	}
	r.moved("completed")
	for range 2 { // again, by another instance: nothing to do
		if rep, err := r.machine(nil).Cutover(t.Context()); err != nil || rep.Attempt != 1 {
			t.Errorf("again: %+v, %v", rep, err)
		}
		if err := r.machine(nil).Recover(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := r.machine(nil).Abort(t.Context()); !errors.Is(err, cutover.ErrDecided) {
		t.Errorf("abort after the decision: %v", err)
	}
	r.moved("again")
}

// The application would meet errors in its first minute: what it may do on the source and not on the target is a no-go with the statement that mends it.
func TestAPrivilegeThatTheApplicationLosesIsANoGo(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	among := func(all []cutover.Finding, object, grant string) bool {
		return slices.ContainsFunc(all, func(f cutover.Finding) bool {
			return f.Code == "application" && f.Object == object && strings.HasPrefix(f.Remedy, grant) && f.Reason != ""
		})
	}
	check := func() cutover.GoNoGo {
		t.Helper()
		g, err := r.machine(nil).Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := check(); !g.Go || slices.ContainsFunc(g.Warnings, func(f cutover.Finding) bool { return f.Code == "application" }) {
		t.Fatalf("with all privileges: %+v", g)
	}
	role := login(t, r.appURL).User
	const table, grant = `"public"."t"`, `GRANT UPDATE ON "public"."t" TO "`
	r.pg.Exec(t, `REVOKE UPDATE ON t FROM "`+role+`"`)
	if g := check(); g.Go || !among(g.Reasons, table, grant) {
		t.Errorf("without UPDATE on the target: %+v", g)
	}
	reader := login(t, r.my.User(t, "", "reader", "SELECT, INSERT, DELETE"))
	blind := gate.MySQLConfig{Migration: migration, Login: login(t, r.my.Server.URL("")), Tables: r.cfg.Tables}
	for _, c := range []struct {
		name   string
		probe  *gate.Login
		warned bool
	}{{"an application that does not update on the source either", &reader, false}, {"without source.probe_url", nil, true}} {
		cfg := blind
		cfg.Probe = c.probe
		source, err := gate.OpenMySQL(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		g, err := r.machineOver(source, r.target, nil).Check(t.Context())
		if err != nil || !g.Go || among(g.Warnings, table, grant) != c.warned {
			t.Errorf("%s: %+v, %v", c.name, g, err)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	}
	r.pg.Exec(t, `GRANT UPDATE ON t TO "`+role+`"`)
	if g := check(); !g.Go {
		t.Errorf("granted: %+v", g)
	}
}

// Statistics are gathered before the fence, and the evidence says so; that they could not be is no reason against the cutover.
func TestTheSideEnteredIsAnalyzedBeforeTheFence(t *testing.T) {
	for name, locked := range map[string]bool{"at once": false, "beside a lock": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
			held := r.pg.Connect(t)
			if locked {
				if _, err := held.Exec(t.Context(), "BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
					t.Fatal(err)
				}
			}
			var before int
			rep, err := r.machine(func(name string) error {
				if name == "arm:before" {
					r.pg.Get(t, "SELECT count(*) FROM pg_stats WHERE tablename = 't' AND schemaname = 'public'", &before)
					_, err := held.Exec(t.Context(), "ROLLBACK")
					return err
				}
				return nil
			}).Cutover(t.Context())
			if err != nil || rep.Verdict != cutover.VerdictCompleted {
				t.Fatalf("%+v, %v", rep, err)
			}
			warned := slices.ContainsFunc(rep.Warnings, func(f cutover.Finding) bool { return f.Code == "statistics" && f.Object == "public.t" })
			if warned != locked || (before > 0) == locked || !strings.Contains(string(rep.Steps[0].Evidence), `"took_ms"`) {
				t.Errorf("%d columns have statistics when the cutover is armed; %+v, %s", before, rep.Warnings, rep.Steps[0].Evidence)
			}
		})
	}
}

func TestWhateverFailsBeforeTheDecisionLeavesEverythingAsItWas(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	var before []string
	for _, e := range r.edges(func() {}) {
		if e == "begin:after" {
			break
		}
		if !slices.Contains(before, e) {
			before = append(before, e)
		}
	}
	if len(before) < 20 {
		t.Fatalf("only %d places: %v", len(before), before)
	}
	for _, at := range before {
		_, err := r.machine(func(name string) error {
			if name == at {
				return errors.New("the network is away")
			}
			return nil
		}).Cutover(t.Context())
		a, ok := aborted(err)
		var noGo *cutover.NoGo
		if strings.HasPrefix(at, "arm:before") {
			ok = errors.As(err, &noGo) // nothing was begun
		} else if ok {
			ok = a.Open && a.Settled && strings.Contains(a.Reason, "the network is away")
		}
		if !ok {
			t.Errorf("%s: %v", at, err)
		}
		r.onSource(at)
	}
	if _, err := r.machine(nil).Cutover(t.Context()); err != nil {
		t.Fatalf("after %d aborts: %v", len(before), err)
	}
	r.moved("after all")
}

func TestWhatTheWorkSaysNoToAborts(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	finding := cutover.Finding{Severity: "error", Code: "x", Object: "s.t", Reason: "no more", Remedy: "none"}
	for want, plant := range map[string]func(name string){
		"1 differences; the first: s.t key (id=1) column \"n\"": func(name string) {
			if name == "verify:before" {
				r.found = []cutover.Difference{{Table: "s.t", Key: "(id=1)", Column: "n"}}
			}
		},
		"s.t has 2 rows on the source and 3 on the target": func(name string) {
			if name == "verify:before" {
				r.rows = [2]int64{2, 3}
			}
		},
		"no more": func(name string) {
			if name == "install:before" {
				r.notReady = []cutover.Finding{finding}
			}
		},
		"the schema of the target was changed": func(name string) {
			if name == "fence:before" {
				r.onTarget("CREATE INDEX extra ON t (n)")
			}
		},
		"prepared transactions could still be committed": func(name string) {
			if name == "disarm:before" { // its locks keep the triggers
				if _, err := r.my.DB.Exec("XA ROLLBACK 'left'"); err != nil {
					t.Error(err)
				}
			}
			if name == "prove:before" {
				conn, err := r.my.DB.Conn(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, q := range []string{"XA START 'left'", "UPDATE t SET n = 8 WHERE id = 1", "XA END 'left'", "XA PREPARE 'left'"} {
					if _, err := conn.ExecContext(t.Context(), q); err != nil {
						t.Error(err)
					}
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		"the closed target took a write": func(name string) {
			if name == "verify:before" {
				r.onTarget("CREATE OR REPLACE FUNCTION crossfade.gate_check() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
			}
		},
		"deadline": func(name string) { // passed just before the compare-and-set, and nobody here knows
			if name == "begin:before" {
				if _, err := r.my.DB.Exec("UPDATE crossfade.attempt SET deadline = NOW(6) - INTERVAL 1 SECOND WHERE migration = 'machine' AND state = 'FENCED'"); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		rep, err := r.machine(func(name string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			plant(name)
			return nil
		}).Cutover(t.Context())
		if a, ok := aborted(err); !ok || !strings.Contains(a.Reason, want) || rep.Verdict != cutover.VerdictAborted || rep.Error == nil {
			t.Errorf("%s: %v, %s", want, err, rep.Verdict)
		}
		if r.resumed.Load() == 0 {
			t.Errorf("%s: the applier was not started again", want)
		}
		r.onTarget("DROP INDEX IF EXISTS extra")
		if err := r.machine(nil).Setup(t.Context()); err != nil { // mends the trigger's function
			t.Fatal(err)
		}
		r.onSource(want)
		r.reset()
	}
	r.miscount = []cutover.Finding{finding}
	var noGo *cutover.NoGo
	if rep, err := r.machine(nil).Cutover(t.Context()); !errors.As(err, &noGo) || noGo.Reasons[0] != finding || rep.Verdict != cutover.VerdictNoGo {
		t.Errorf("a miscount before the fence: %v", err)
	}
}

func TestACrashAnywhereEndsWithOneSideOpen(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	differ := func() {
		r.mu.Lock()
		r.found = []cutover.Difference{{Table: "s.t", Key: "(id=1)"}}
		r.mu.Unlock()
	}
	for what, prepare := range map[string]func(){"cutover": func() {}, "abort": differ} {
		edges := r.edges(prepare)
		first := 0
		if what == "abort" { // what comes before is the same
			first = slices.Index(edges, "quit:before")
		}
		for at := first; at < len(edges); at++ {
			if at > first && strings.HasSuffix(edges[at], ":before") && strings.HasSuffix(edges[at-1], ":after") {
				continue // nothing lies between the two
			}
			where := fmt.Sprintf("%s, crash %d at %s", what, at, edges[at])
			prepare()
			n := 0
			_, err := r.machine(func(string) error {
				n++
				if n > at {
					return cutover.ErrCrash
				}
				return nil
			}).Cutover(t.Context())
			if !errors.Is(err, cutover.ErrCrash) {
				t.Fatalf("%s: %v", where, err)
			}
			if s, d := r.sides(); s && d {
				t.Fatalf("%s: both sides are open", where)
			}
			r.mu.Lock()
			r.found = nil
			r.mu.Unlock()
			err = r.machine(nil).Recover(t.Context())
			var failed *cutover.StepFailed
			decided := slices.Index(edges, "open:after")
			switch {
			case errors.As(err, &failed) && failed.Unknown && edges[at] == "switch:app:before":
				// Its intent stands and traffic did not move: only a person can say whether it ran.
				if _, err := r.machine(nil).Cutover(t.Context()); !errors.As(err, &failed) || !failed.Unknown || r.runs.Load() != 0 {
					t.Errorf("%s: a step of unknown outcome was run: %v, %d runs", where, err, r.runs.Load())
				}
				if err := r.machine(nil).Settle(t.Context(), "app", "retry"); err != nil {
					t.Errorf("%s: %v", where, err)
				}
				if _, err := r.machine(nil).Cutover(t.Context()); err != nil {
					t.Errorf("%s: %v", where, err)
				}
				r.moved(where)
			case err != nil:
				t.Errorf("%s: recover: %v", where, err)
			case what == "cutover" && at >= decided:
				r.moved(where)
			default:
				r.onSource(where)
			}
			r.reset()
		}
	}
}

// sent are the calls of one side, and what runs them.
type sent struct {
	mu    sync.Mutex
	calls []cutover.Call
}

func (s *sent) add(c cutover.Call) {
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.mu.Unlock()
}

type tapLeaver struct {
	cutover.Leaver
	sent *sent
}

func (s tapLeaver) Do(ctx context.Context, c cutover.Call) (bool, error) {
	s.sent.add(c)
	return s.Leaver.Do(ctx, c)
}

type tapEnterer struct {
	cutover.Enterer
	sent *sent
}

func (s tapEnterer) Do(ctx context.Context, c cutover.Call) (bool, error) {
	s.sent.add(c)
	return s.Enterer.Do(ctx, c)
}

func TestAStatementThatArrivesLateChangesNothing(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	late := func(when string, calls []cutover.Call) {
		t.Helper()
		for _, c := range calls {
			before := r.everything()
			var side cutover.Side = r.source
			if c.Rule.On == protocol.Entering {
				side = r.target
			}
			if ok, err := side.Do(t.Context(), c); ok || err != nil {
				t.Errorf("%s: %s %d arrives late: changed %v, %v", when, c.Rule.Act, c.Epoch, ok, err)
			}
			if after := r.everything(); after != before {
				t.Errorf("%s: %s %d arrives late and changes\n%s\nto\n%s", when, c.Rule.Act, c.Epoch, before, after)
			}
		}
	}
	var all sent
	tap := func(failpoint func(string) error) *cutover.Machine {
		return r.machineOver(tapLeaver{r.source, &all}, tapEnterer{r.target, &all}, failpoint)
	}
	// The first attempt is aborted after its decision was under way, so that every statement there is has been sent.
	_, err := tap(func(name string) error {
		if name == "open:before" {
			return errors.New("never sent")
		}
		return nil
	}).Cutover(t.Context())
	if _, ok := aborted(err); !ok {
		t.Fatal(err)
	}
	first := slices.Clone(all.calls)
	for _, act := range []protocol.Act{protocol.Open, protocol.Decide, protocol.Quit} {
		rule, _ := protocol.RuleOf(act)
		first = append(first, cutover.Call{Rule: rule, Epoch: 1})
	}
	late("after the abort", first)
	r.onSource("after the abort")
	// During the next attempt, at each of its places.
	_, err = tap(func(name string) error {
		if name == "fence:after" || name == "begin:before" || name == "open:before" || name == "route:before" {
			late("at "+name, first)
		}
		if name == "open:before" || name == "route:before" { // once deciding nothing of this attempt's abort changes anything either
			_, epoch := r.state()
			var calls []cutover.Call
			for _, act := range []protocol.Act{protocol.Quit, protocol.Reopen, protocol.End, protocol.Arm, protocol.Fence, protocol.Begin} {
				rule, _ := protocol.RuleOf(act)
				calls = append(calls, cutover.Call{Rule: rule, Epoch: epoch})
			}
			late("while deciding, at "+name, calls)
		}
		return nil
	}).Cutover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late("after the decision", append(first, all.calls...))
	r.moved("after the decision")
}

func TestTwoInstancesMakeOneDecision(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	for _, at := range []string{"arm:before", "arm:after", "install:before", "fence:before", "fence:after", "verify:before", "revoke:after", "begin:before", "begin:after", "open:after", "switch:app:before", "route:after"} {
		other, done := r.machine(nil), make(chan struct{})
		var once sync.Once
		_, err := r.machine(func(name string) error {
			if name == at {
				once.Do(func() {
					was := r.attempts()
					go func() {
						defer close(done)
						_, _ = other.Cutover(t.Context()) // whatever it says, the databases are looked at
					}()
					r.until("the other instance has acted", func() bool {
						select {
						case <-done:
							return true
						default:
							return r.attempts() != was
						}
					})
				})
			}
			return nil
		}).Cutover(t.Context())
		<-done
		if a, ok := aborted(err); ok && !a.Settled {
			t.Errorf("second instance at %s: the first has not finished its abort: %v", at, err)
		}
		s, d := r.sides()
		if s == d || d != (r.active.Load() == protocol.Target) || r.runs.Load() > 1 {
			t.Errorf("second instance at %s: source open %v, target open %v, traffic to the %v, %d runs of the step; first: %v", at, s, d, r.active.Load(), r.runs.Load(), err)
		}
		var decided int
		if err := r.my.DB.QueryRow("SELECT COUNT(*) FROM crossfade.attempt WHERE migration = 'machine' AND state = 'DECIDED'").Scan(&decided); err != nil || decided > 1 {
			t.Errorf("second instance at %s: %d decisions, %v", at, decided, err)
		}
		t.Logf("second instance at %s: target open %v; first: %v", at, d, err)
		r.reset()
	}
	// Both at the same time, without a rule of who is where.
	var both sync.WaitGroup
	for range 2 {
		m := r.machine(nil)
		both.Go(func() { _, _ = m.Cutover(t.Context()) })
	}
	both.Wait()
	if err := r.machine(nil).Recover(t.Context()); err != nil {
		t.Error(err)
	}
	if s, d := r.sides(); s == d || r.runs.Load() > 1 {
		t.Errorf("both at once: source open %v, target open %v, %d runs of the step", s, d, r.runs.Load())
	}
}

// After a rollback the newest attempt to leave the source is one that was decided. When the next cannot even be begun, that is no success.
func TestAnAttemptThatCouldNotBeBegunIsNotTakenForTheOneBeforeIt(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	if _, err := r.machine(nil).Cutover(t.Context()); err != nil {
		t.Fatal(err)
	}
	// moved back since
	r.my.Exec(t, "UPDATE crossfade.gate SET state = 'open', epoch = 2 WHERE migration = '"+migration+"'")
	r.pg.Exec(t, "UPDATE crossfade.gate SET state = 'closed', epoch = 2 WHERE migration = '"+migration+"'")
	r.active.Store(protocol.Source)
	rep, err := r.machine(func(name string) error {
		if name == "arm:before" {
			return errors.New("the connection is lost")
		}
		return nil
	}).Cutover(t.Context())
	var noGo *cutover.NoGo
	if !errors.As(err, &noGo) || rep.Verdict != cutover.VerdictNoGo {
		t.Errorf("verdict %s, %v", rep.Verdict, err)
	}
	if s, d := r.sides(); !s || d {
		t.Errorf("source open %v, target open %v", s, d)
	}
}
