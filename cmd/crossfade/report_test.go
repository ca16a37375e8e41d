package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// fixedReport has something in every part.
func fixedReport(t *testing.T) cutover.Report {
	t.Helper()
	b, err := os.ReadFile("../../cutover/testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var r cutover.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// outside is what a page asks others for, or does.
var outside = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|src=|href=|url\(|@import|\son[a-z]+=`)

// TestThePageOfAReportNeedsNothingElse: CROSSFADE_UPDATE=1 writes the golden.
func TestThePageOfAReportNeedsNothingElse(t *testing.T) {
	got, err := reportHTML(fixedReport(t))
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.html"
	if os.Getenv("CROSSFADE_UPDATE") != "" {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
	if found := outside.Find(got); found != nil {
		t.Errorf("the page has %q", found)
	}
	if strings.Contains(string(got), "<orders>") || strings.Contains(string(got), "<it>") {
		t.Error("a name became markup")
	}
}

func TestAReportOfNothingCanBeRendered(t *testing.T) {
	for what, r := range map[string]cutover.Report{
		"empty":          {},
		"one sample":     {Samples: []cutover.Sample{{}}},
		"at one moment":  {Steps: []cutover.ReportStep{{Name: "fenced"}}, Samples: []cutover.Sample{{}, {}}},
		"still running":  {Steps: []cutover.ReportStep{{Name: "fenced", StartedAt: time.Now(), Outcome: "running"}}},
		"a strange step": {Steps: []cutover.ReportStep{{Name: "switch:x", Evidence: json.RawMessage(`7`)}}},
	} {
		b, err := reportHTML(r)
		if err != nil || !strings.Contains(string(b), "</html>") || strings.Contains(string(b), "NaN") {
			t.Errorf("%s: %v\n%s", what, err, b)
		}
		if r.Markdown() == "" {
			t.Errorf("%s: no Markdown", what)
		}
	}
}

// TestTheReportShowsTheTimeAroundThePause: samples from before the fence to after the switch are there, also for a daemon that was started again and without one; the page
// names every table.
func TestTheReportShowsTheTimeAroundThePause(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15), "")
	r.seed(500)
	r.configure(r.my.URL(), r.pg.URL(), "cutover:\n  switch:\n"+r.switchStep())
	w := r.startWorkload(2, 5*time.Millisecond)
	r.start()
	r.waitReady()
	r.must("cutover")
	w.stop()
	covered := func(s []cutover.Sample, from, to time.Time) bool {
		return len(s) > 2 && s[0].At.Before(from) && s[len(s)-1].At.After(to)
	}
	var rep cutover.Report
	var from, to time.Time
	for end := time.Now().Add(time.Minute); !covered(rep.Samples, from, to); rep = r.report() {
		if time.Now().After(end) {
			t.Fatalf("the samples do not cover the pause, %s to %s: %+v", from, to, rep.Samples)
		}
		from, to, _ = rep.Pause()
		pause(20 * time.Millisecond)
	}
	captured, applied, lag := 0.0, 0.0, 0
	for i, s := range rep.Samples {
		if i > 0 && !s.At.After(rep.Samples[i-1].At) {
			t.Errorf("sample %d is of %s, the one before it of %s", i, s.At, rep.Samples[i-1].At)
		}
		if s.At.Before(from) && s.LagSeconds != nil {
			lag++
		}
		captured, applied = captured+s.CapturedPerS, applied+s.AppliedPerS
	}
	if captured <= 0 || applied <= 0 || lag == 0 {
		t.Errorf("captured %v, applied %v, the lag is known of %d samples: %+v", captured, applied, lag, rep.Samples)
	}

	r.stop()
	kept := r.report() // nobody runs
	r.start()
	r.until("serving again", time.Minute, func(s control.Status) bool { return s.State == "completed" })
	for what, again := range map[string]cutover.Report{"without a daemon": kept, "of the next daemon": r.report()} {
		if !covered(again.Samples, from, to) || !again.Samples[0].At.Equal(rep.Samples[0].At) {
			t.Errorf("%s the report has %d samples, had %d", what, len(again.Samples), len(rep.Samples))
		}
	}
	page := r.must("report", "--format", "html", "--attempt", "1")
	for _, d := range rep.Tables {
		if !strings.Contains(page, "<td>"+d.Source+"</td><td>"+d.Target+"</td>") || d.VerifiedAt == nil {
			t.Errorf("the page lacks %+v", d)
		}
	}
	if len(rep.Tables) != 5 || strings.Count(page, "<polyline") < 3 || strings.Count(page, `<rect class="pause"`) != 2 {
		t.Errorf("%d tables; the page:\n%s", len(rep.Tables), page)
	}
}
