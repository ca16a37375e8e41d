package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
)

// Numbers of sequences that no column owns (in the defaults of two tables, falling, called by the application alone) are never issued again by the side that is moved to.
func TestSequencesThatNoColumnOwnsGoOnThereAndBack(t *testing.T) {
	source, target := engines["postgres"](t), engines["postgres"](t)
	execOn(t, source, `CREATE SEQUENCE shared INCREMENT 5 CACHE 10; CREATE SEQUENCE down INCREMENT -1; CREATE SEQUENCE "Called" AS integer START 100 MAXVALUE 1000000; CREATE SEQUENCE around MAXVALUE 1000000 CYCLE;
		CREATE TABLE a (id bigint PRIMARY KEY DEFAULT nextval('shared'), v int); CREATE TABLE b (id bigint PRIMARY KEY DEFAULT nextval('shared'), v int);
		CREATE TABLE c (id text PRIMARY KEY DEFAULT 'c' || nextval('down'), n bigint NOT NULL DEFAULT nextval('down'))`)
	issued := map[string]bool{}
	take := func(e *end, user string) {
		t.Helper()
		db := e.open(user)
		defer db.Close()
		for range 30 {
			for sequence, query := range map[string][]string{"shared": {"INSERT INTO a DEFAULT VALUES RETURNING id", "INSERT INTO b DEFAULT VALUES RETURNING id"}, "down": {"INSERT INTO c DEFAULT VALUES RETURNING n", "SELECT nextval('down')"},
				"Called": {`SELECT nextval('"Called"')`}, "around": {"SELECT nextval('around')"}} {
				for _, q := range query {
					var n int64
					if err := db.QueryRowContext(t.Context(), q).Scan(&n); err != nil {
						t.Fatal(err)
					}
					key := fmt.Sprint(sequence, " ", n)
					if issued[key] {
						t.Errorf("%s: %s is issued again", q, key)
					}
					issued[key] = true
				}
			}
		}
	}
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	there := source.user()
	take(source, there)
	if out := r.must("check"); !strings.Contains(out, "public.around") || !strings.Contains(out, "CYCLE") {
		t.Errorf("check does not warn of the sequence that begins anew:\n%s", out)
	}
	r.start()
	r.waitReady()
	r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
	back := target.user()
	for turn, verb := range []string{"cutover", "rollback", "cutover", "rollback"} {
		side, user := source, there
		if verb == "rollback" {
			side, user = target, back
		}
		take(side, user)
		if turn == 2 {
			r.kill()
			r.start()
			r.waitReady()
			r.until("the target is watched", time.Minute, func(s control.Status) bool { return s.Reverse != nil && s.Reverse.State == "watching" })
		}
		if exit, out, errs := r.crossfade(verb); exit != 0 {
			t.Fatalf("%s %d: exit %d\n%s%s", verb, turn, exit, out, errs)
		}
		set := map[string]string{}
		for _, s := range r.report().Sequences {
			set[s.Name] = string(s.SetTo)
		}
		if len(set) != 4 || set["public.shared"] == "" || !strings.HasPrefix(set["public.down"], "-") || set[`public."Called"`] == "" || set["public.around"] == "" {
			t.Errorf("%s %d has set %v", verb, turn, set)
		}
		if verb == "cutover" {
			r.until("the way back is verified", time.Minute, func(s control.Status) bool {
				return s.State == "completed" && s.Reverse != nil && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.Differences == 0
			})
			continue
		}
		r.until("rolled back and ready", time.Minute, func(s control.Status) bool {
			return s.State == "rolled_back" && phaseOf(s) == "ready" && s.Reverse != nil && s.Reverse.State == "watching" && s.LagSeconds != nil
		})
	}
	take(source, there)
	var text string
	db := target.open(target.url)
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), `SELECT string_agg(concat_ws(' ', s.seqrelid::regclass, s.seqtypid::regtype, s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, s.seqcycle), ', ' ORDER BY c.relname)
		FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	if want := `"Called" integer 1 1 1000000 100 1 f, around bigint 1 1 1000000 1 1 t, down bigint -1 -9223372036854775808 -1 -1 1 f, shared bigint 5 1 9223372036854775807 1 10 f`; text != want {
		t.Errorf("the sequences of the target are\n%s, not\n%s", text, want)
	}
}
