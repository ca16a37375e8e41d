package gate_test

import (
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

const freeSequences = `CREATE SEQUENCE up CACHE 7; CREATE SEQUENCE "Fifty" INCREMENT 50; CREATE SEQUENCE below INCREMENT -3 MAXVALUE 100 START 5;
	CREATE SEQUENCE negative MINVALUE -1000 START -1000; CREATE SEQUENCE round MAXVALUE 20 CYCLE; CREATE SEQUENCE never START 40;`

// A sequence that no column owns is raised past the last number issued in the direction in which it goes, never back, and only under the epoch.
func TestASequenceThatNoColumnOwnsIsRaisedInItsDirection(t *testing.T) {
	source, dest := newLeft(t, testdb.Postgres(t, 15)), newTarget(t, testdb.Postgres(t, 15))
	issued := map[string][]int64{}
	next := func(d *target, name string) (n int64) {
		d.Get(t, `SELECT nextval('"`+name+`"')`, &n)
		return n
	}
	names := []string{"up", "Fifty", "below", "negative", "round", "never"}
	for _, d := range []*target{source, dest} {
		d.Exec(t, freeSequences)
		for _, n := range names {
			d.cfg.Sequences = append(d.cfg.Sequences, cutover.Counter{Source: cutover.Name{Schema: "public", Table: n}, Target: cutover.Name{Schema: "public", Table: n}, Down: n == "below"})
		}
	}
	for range 12 {
		for _, n := range names[:5] {
			issued[n] = append(issued[n], next(source, n))
		}
	}
	dest.Exec(t, "SELECT setval('up', 5000)") // stands further ahead
	left, entered := openTarget(t, source.cfg), openTarget(t, dest.cfg)
	last, err := left.LastIssued(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := entered.Generators(t.Context())
	if err != nil || len(all) != 1+len(names) {
		t.Fatalf("%+v, %v", all, err)
	}
	values := map[string]string{}
	for i := range all[1:] {
		q := &all[1+i]
		if q.Last = last[cutover.Name{Schema: "public", Table: strings.TrimPrefix(q.Table, "public.")}]; q.Last > 0 {
			q.SetTo = q.Last + q.Step
			values[q.Name] = string(q.Value(q.Last))
		}
	}
	all = all[1:]
	for name, want := range map[string]string{"public.up": "14", `public."Fifty"`: "551", "public.below": "-28", "public.negative": "-989", "public.round": "12", "public.never": ""} {
		if values[name] != want {
			t.Errorf("the last number of %s is %q, not %q", name, values[name], want)
		}
	}
	rule, _ := protocol.RuleOf(protocol.Sequences)
	do(t, entered, protocol.Claim, 3, true)
	for _, epoch := range []int64{2, 3, 3} { // late, and twice
		if ok, err := entered.Do(t.Context(), cutover.Call{Rule: rule, Epoch: epoch, Sequences: all}); ok != (epoch == 3) || err != nil {
			t.Fatalf("epoch %d: changed %v, %v", epoch, ok, err)
		}
	}
	for name, want := range map[string]int64{"up": 5001, "Fifty": 651, "below": -34, "negative": -987, "round": 14, "never": 40} {
		got := next(dest, name)
		for _, n := range issued[name] {
			if n == got {
				t.Errorf("%s issues %d again", name, n)
			}
		}
		if got != want {
			t.Errorf("%s goes on with %d, not %d", name, got, want)
		}
	}
}

func TestASequenceThatGoesTheOtherWayOrIsMissingIsRefused(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 15))
	d.Exec(t, "CREATE SEQUENCE turned INCREMENT -1")
	for _, n := range []string{"turned", "missing"} {
		cfg := d.cfg
		cfg.Sequences = []cutover.Counter{{Source: cutover.Name{Schema: "s", Table: n}, Target: cutover.Name{Schema: "public", Table: n}}}
		g := openTarget(t, cfg)
		if all, err := g.Generators(t.Context()); err == nil || !strings.Contains(err.Error(), n) {
			t.Errorf("%+v, %v", all, err)
		}
	}
}

// What would stop a cutover under the fence, or is left behind by it, is known before.
func TestSequencesThatCannotBeRaisedOrAreLeftBehindAreNamed(t *testing.T) {
	source, dest := newLeft(t, testdb.Postgres(t, 15)), newTarget(t, testdb.Postgres(t, 15))
	source.Exec(t, "CREATE SEQUENCE moved; CREATE SEQUENCE later")
	dest.Exec(t, "CREATE SEQUENCE moved")
	counters := []cutover.Counter{{Source: cutover.Name{Schema: "public", Table: "moved"}, Target: cutover.Name{Schema: "public", Table: "moved"}}}
	source.cfg.Sequences, dest.cfg.Sequences = counters, counters
	warned := func() string {
		t.Helper()
		found, err := openTarget(t, source.cfg).Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range found {
			if f.Code == "sequence" {
				names = append(names, f.Severity+" "+f.Object)
			}
		}
		return strings.Join(names, ", ")
	}
	if got := warned(); got != "warning public.later" {
		t.Errorf("found %s", got)
	}
	source.Exec(t, "ALTER SEQUENCE later OWNED BY t.n")
	if got := warned(); got != "" {
		t.Errorf("found %s", got)
	}
	dest.Exec(t, "GRANT USAGE ON SCHEMA crossfade TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA crossfade TO PUBLIC")
	dest.cfg.URL = dest.app // may take numbers, not set them
	found, err := openTarget(t, dest.cfg).Check(t.Context())
	refused := ""
	for _, f := range found {
		if f.Severity == "error" && f.Code == "privilege" && strings.Contains(f.Remedy, "SEQUENCE") {
			refused += f.Object
		}
	}
	if err != nil || refused != "public.moved" {
		t.Errorf("%+v, %v", found, err)
	}
}
