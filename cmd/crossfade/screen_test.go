package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
)

func TestTheScreenShowsWhatAPersonMustKnow(t *testing.T) {
	phase, lag, left, room, step := "snapshot", 12.34, 90.0, 7200.0, "fenced"
	text := "the disk is full; make room"
	s := control.Status{Name: "shop", State: "failed", Phase: &phase, Paused: true, LagSeconds: &lag, Error: &text,
		Snapshot: control.SnapshotStatus{TablesDone: 1, TablesTotal: 2, RowsDone: 250_000, RowsEstimated: 1_000_000, ETASeconds: &left},
		Stream:   control.StreamStatus{Last: 100, Applied: 90, Bytes: 3 << 20, MaxBytes: 1 << 30, RoomSeconds: &room},
		Verify:   control.VerifyStatus{State: "rounds", RowsVerified: 1234567, Differences: 2, TouchedKeys: 3},
		Cutover:  control.CutoverStatus{Epoch: 4, Step: &step},
		Held:     []control.HeldTable{{Table: "shop.a", Key: "(id=1)", Reason: "too long", Remedy: "widen it"}},
		Links:    []control.LinkStatus{{To: "source", Error: "connection refused", Since: time.Now()}},
		Tables:   []control.TableStatus{{Source: "shop.a", Target: "public.b", State: "copying", RowsCopied: 250_000, Differences: 2}},
	}
	plain := screen(s, false)
	for _, want := range []string{
		"shop  failed · snapshot · paused · lag 12.3 s",
		"! the disk is full; make room",
		"! no connection to the source since",
		"[███████░░░░░░░░░░░░░░░░░░░░░░░]  25%  250,000 of about 1,000,000 rows, 1 of 2 tables, about 1m30s left",
		"stream    10 frames ahead of the target, 3.0 MiB of 1.0 GiB, room for 2h0m0s",
		"verify    rounds, 1,234,567 rows, 2 differences, 3 keys touched",
		"cutover   attempt 4, fenced",
		"held      shop.a at (id=1): too long; widen it",
		"shop.a > public.b", "2 differ",
	} {
		if !strings.Contains(plain, want) {
			t.Errorf("the screen lacks %q:\n%s", want, plain)
		}
	}
	if strings.Contains(plain, "\x1b") {
		t.Error("colours without a terminal")
	}
	if coloured := screen(s, true); !strings.Contains(coloured, "\x1b[1;31mfailed\x1b[0m") {
		t.Errorf("no colours on a terminal:\n%q", coloured)
	}
	long := strings.Repeat("long", 20)
	*s.Stream.RoomSeconds, s.Stream.Applied, s.Verify.TouchedKeys = 30*24*60*60, 99, 1
	s.Tables = append(s.Tables, control.TableStatus{Source: "shop." + long, Target: "public." + long, State: "strict"})
	for _, want := range []string{"1 frame ahead", "room for 30 days", "1 key touched", "\nshop." + long + " > public." + long + "\n" + strings.Repeat(" ", 21) + "strict "} {
		if got := screen(s, false); !strings.Contains(got, want) {
			t.Errorf("the screen lacks %q:\n%s", want, got)
		}
	}
	s.Stream.Full = true
	if full := screen(s, false); !strings.Contains(full, "1.0 GiB, full: capture waits for room") {
		t.Errorf("a full stream is not shown:\n%s", full)
	}
}

func TestWatchingRedrawsUntilItIsTold(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out strings.Builder
	n := 0
	err := watchStatus(ctx, &out, func(context.Context) (control.Status, error) {
		n++
		if n == 3 {
			stop()
		}
		return control.Status{Name: "shop", State: "running"}, nil
	})
	if err != nil || strings.Count(out.String(), "shop  running") != 2 {
		t.Errorf("%v, drawn:\n%s", err, out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("escape sequences without a terminal")
	}
}

func TestTheTimeLeftIsMeasuredAndUnknownWhileNothingMoves(t *testing.T) {
	var m meter
	at := time.Unix(0, 0)
	if m.eta(0, 1000, at) != nil {
		t.Error("a time left before anything was measured")
	}
	if left := m.eta(100, 1000, at.Add(time.Second)); left == nil || *left != 9 {
		t.Errorf("100 rows a second, 900 to go: %v", left)
	}
	var idle meter
	idle.eta(5, 10, at)
	if idle.eta(5, 10, at.Add(2*time.Second)) != nil {
		t.Error("a time left while nothing moves")
	}
}

func TestWaitingEndsAtOnceWhenItCannotComeAnyMore(t *testing.T) {
	phase := func(p string) *string { return &p }
	for _, c := range []struct {
		goal              string
		s                 control.Status
		reached, possible bool
	}{
		{"streaming", control.Status{State: "running", Phase: phase("catchup")}, false, true},
		{"streaming", control.Status{State: "running", Phase: phase("streaming")}, true, true},
		{"streaming", control.Status{State: "failed", Phase: phase("streaming")}, false, false},
		{"verified", control.Status{State: "validating", Phase: phase("streaming")}, false, true},
		{"verified", control.Status{State: "running", Phase: phase("ready")}, true, true},
		{"verified", control.Status{State: "failed", Phase: phase("ready")}, false, false},
		{"verified", control.Status{State: "completed", Phase: phase("soak")}, true, true},
		{"completed", control.Status{State: "running", Phase: phase("cutover")}, false, true},
		{"completed", control.Status{State: "completed"}, true, true},
		{"rolled_back", control.Status{State: "completed"}, false, false},
		{"rolled_back", control.Status{State: "completed", Reverse: &control.ReverseStatus{}}, false, true},
		{"rolled_back", control.Status{State: "rolled_back"}, true, false},
	} {
		if reached, possible := goals[c.goal](c.s); reached != c.reached || possible != c.possible {
			t.Errorf("%s in state %s: reached %v, possible %v", c.goal, c.s.State, reached, possible)
		}
	}
}

func TestHelpKnowsItsVerbs(t *testing.T) {
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"help", "verify"}, 0, "--repair"},
		{[]string{"help"}, 0, "Available Commands"},
		{[]string{"help", "verfy"}, 2, `verb "verfy" is not known`},
		{[]string{"help", "verify", "more"}, 2, `verb "verify more" is not known`},
	} {
		var out, errs strings.Builder
		if exit := Main(c.args, &out, &errs); exit != c.exit || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%v: exit %d\n%s%s", c.args, exit, out.String(), errs.String())
		}
	}
}
