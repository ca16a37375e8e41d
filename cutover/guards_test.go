package cutover_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// Whatever a guard says before the decision ends the attempt with its words, and the report has what it decided; from the decision on it ends nothing more.
func TestAGuardEndsAnAttemptUntilItsDecision(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	why := errors.New("the guard error_rate > 1%: it is 5.0%")
	said := cutover.Guard{Guard: "error_rate > 1%", Value: "5.0%", Decided: "abort", At: time.Now().UTC().Truncate(time.Microsecond)}
	edges := r.edges(func() {})
	decision := slices.Index(edges, "begin:after")
	if decision < 0 {
		t.Fatalf("no decision among %v", edges)
	}
	for _, edge := range []string{"install:after", "fence:before", "drain:before", "verify:after", "revoke:after", "open:before", "route:before"} {
		at := slices.Index(edges, edge)
		if at < 0 {
			t.Errorf("no edge %s among %v", edge, edges)
			continue
		}
		r.reset()
		var m *cutover.Machine
		m = r.machine(func(name string) error {
			if name == edge {
				m.Announce(said)
				m.GiveUp(why)
			}
			return nil
		})
		rep, err := m.Cutover(t.Context())
		var aborted *cutover.Aborted
		if before := at < decision; errors.As(err, &aborted) != before || !before && err != nil {
			t.Errorf("%s: %v", edge, err)
		}
		if aborted != nil && !strings.Contains(aborted.Reason, why.Error()) {
			t.Errorf("%s: the reason is %s", edge, aborted.Reason)
		}
		if !slices.Equal(rep.Guards, []cutover.Guard{said}) {
			t.Errorf("%s: guards %+v", edge, rep.Guards)
		}
		if slices.ContainsFunc(rep.Steps, func(s cutover.ReportStep) bool { return s.Name == "guard" }) {
			t.Errorf("%s: what a guard says is no step", edge)
		}
	}
}

// What is decided in the soak goes into the report of the cutover that began it, whoever writes it, and what was announced before it.
func TestWhatAGuardDecidesInTheSoakIsInTheReportOfTheCutover(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15))
	said := func(what string) cutover.Guard {
		return cutover.Guard{Guard: "differences > 0", Value: "1", Decided: what, At: time.Now().UTC().Truncate(time.Microsecond)}
	}
	m := r.machine(nil)
	if err := m.NoteGuard(t.Context(), said("hold")); !errors.Is(err, cutover.ErrNothing) {
		t.Errorf("before any cutover: %v", err)
	}
	want := []cutover.Guard{said("warn"), said("hold"), said("no rollback")}
	m.Announce(want[0])
	if _, err := m.Cutover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, g := range want[1:] {
		if err := r.machine(nil).NoteGuard(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := r.machine(nil).Report(t.Context(), 0)
	if err != nil || !slices.Equal(rep.Guards, want) {
		t.Errorf("guards %+v, %v", rep.Guards, err)
	}
	if text := rep.Markdown(); !strings.Contains(text, "## Guards") || !strings.Contains(text, "| differences > 0 | 1 | no rollback |") {
		t.Errorf("the report does not tell:\n%s", text)
	}
}
