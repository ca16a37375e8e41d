package cutover_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/crossfade-io/crossfade/cutover"
)

// TestAReportReadsAsItDid renders a report with something in every part. CROSSFADE_UPDATE=1 writes the golden.
func TestAReportReadsAsItDid(t *testing.T) {
	b, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var r cutover.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	got := r.Markdown()
	if os.Getenv("CROSSFADE_UPDATE") != "" {
		if err := os.WriteFile("testdata/report.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/report.md")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("Markdown is\n%s\nwant\n%s", got, want)
	}
}
